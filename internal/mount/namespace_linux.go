package mount

import (
	"errors"
	"fmt"
	"runtime"

	"golang.org/x/sys/unix"
)

// ownThread runs f on an operating system thread that ends with it, so that
// f may leave the thread in any state. It is never the process's first
// thread: that one would stay, and /proc/self shows its namespaces.
func ownThread(f func() error) error {
	err := errors.New("ended by runtime.Goexit")
	done := make(chan struct{})
	var run func()
	run = func() {
		runtime.LockOSThread() // never unlocked: the thread ends here
		if unix.Gettid() == unix.Getpid() {
			defer runtime.UnlockOSThread()
			next := make(chan struct{})
			go func() { defer close(next); run() }()
			<-next
			return
		}
		defer close(done)
		err = f()
	}
	go run()
	<-done
	return err
}

// privately runs f on a thread with a mount namespace of its own. Mounts made
// there are not seen elsewhere; what the host unmounts goes away there too,
// so that the copy keeps nothing busy.
func privately(f func() error) error {
	return ownThread(func() error {
		if err := unix.Unshare(unix.CLONE_FS | unix.CLONE_NEWNS); err != nil {
			return fmt.Errorf("new mount namespace: %w", err)
		}
		if err := enslave(); err != nil {
			return err
		}
		return f()
	})
}

// enslave cuts the propagation of mounts from this namespace to others.
func enslave() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SLAVE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	return nil
}
