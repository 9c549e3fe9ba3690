package be

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/gofrs/flock"
)

// lock makes sure that one changing command works at a time. The lock is the
// kernel's (flock(2)), so it ends with its holder. Only root can open the
// lock's file, or any user could hold it; who has it is said in another one.
// It is waited for as long as the options say.
func (m *Manager) lock(ctx context.Context, o Options) (unlock func(), err error) {
	if err := os.MkdirAll(filepath.Dir(m.sys.LockFile), 0o755); err != nil {
		return nil, err
	}
	l := flock.New(m.sys.LockFile, flock.SetPermissions(0o600))
	ok, err := l.TryLock()
	if err == nil && !ok && o.Patience > 0 {
		if o.Waiting != nil {
			o.Waiting(m.holder())
		}
		waiting, cancel := context.WithTimeout(ctx, o.Patience)
		defer cancel()
		if ok, err = l.TryLockContext(waiting, 100*time.Millisecond); errors.Is(err, context.DeadlineExceeded) {
			err = nil
		}
	}
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", m.sys.LockFile, err)
	}
	if !ok {
		return nil, refuse(Busy, "wait until it has ended", "begin: snapbe is at work already: %s", m.holder())
	}
	who := fmt.Sprintf("pid %d, %q, since %s\n", os.Getpid(), m.sys.Command, m.sys.Now().Format("15:04:05"))
	if err := os.WriteFile(m.holderFile(), []byte(who), 0o644); err != nil {
		_ = l.Unlock()
		return nil, err
	}
	return func() { _ = os.Remove(m.holderFile()); _ = l.Unlock() }, nil
}

// alone keeps commands of snapbe exec out of a BE while its files are changed;
// one that works there already is not waited for. It is the kernel's lock too.
func (m *Manager) alone(b BE, what string) (release func(), err error) {
	if b.Name == "" {
		return func() {}, nil
	}
	l := m.workLock(b)
	ok, err := l.TryLock()
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", l.Path(), err)
	}
	if !ok {
		return nil, refuse(Busy, "wait until it has ended", "%s: a command of snapbe exec works in %q", what, b.Name)
	}
	return func() { _ = l.Unlock() }, nil
}

// work is for a command of snapbe exec; any number of them may work in a BE.
func (m *Manager) work(b BE, what string) (release func(), err error) {
	if err := os.MkdirAll(filepath.Dir(m.sys.LockFile), 0o755); err != nil {
		return nil, err
	}
	l := m.workLock(b)
	ok, err := l.TryRLock()
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", l.Path(), err)
	}
	if !ok {
		return nil, refuse(Busy, "wait until it has ended", "%s: files are being synced to it", what)
	}
	return func() { _ = l.Unlock() }, nil
}

// upgradeAlone is work, for an upgrade: two of them would meet at the locks of the
// package managers.
func (m *Manager) upgradeAlone(b BE, what string) (release func(), err error) {
	working, err := m.work(b, what)
	if err != nil {
		return nil, err
	}
	l := flock.New(m.sys.LockFile+".upgrade-"+b.Name, flock.SetPermissions(0o600))
	ok, err := l.TryLock()
	switch {
	case err != nil:
		err = fmt.Errorf("lock %s: %w", l.Path(), err)
	case !ok:
		err = refuse(Busy, "wait until it has ended", "%s: another upgrade of it is at work", what)
	default:
		return func() { _ = l.Unlock(); working() }, nil
	}
	working()
	return nil, err
}

func (m *Manager) workLock(b BE) *flock.Flock {
	return flock.New(m.sys.LockFile+"-"+b.Name, flock.SetPermissions(0o600))
}

// holder is who holds the lock, for people.
func (m *Manager) holder() string { return or(m.busy(), "holder unknown") }

func (m *Manager) holderFile() string { return m.sys.LockFile + ".holder" }

// busy tells who holds the lock, "" where nobody does; a holder that was
// killed has left its file but not its process.
func (m *Manager) busy() string {
	text, err := os.ReadFile(m.holderFile())
	if err != nil {
		return ""
	}
	who := strings.TrimSpace(string(text))
	var pid int
	if n, _ := fmt.Sscanf(who, "pid %d,", &pid); n == 1 {
		if _, err := os.Stat(fmt.Sprintf("/proc/%d", pid)); err != nil {
			return ""
		}
	}
	return who
}
