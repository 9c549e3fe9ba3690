package lab

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// PowerOn starts a machine that is powered off, and returns without waiting
// for it to boot. Disks, where given, are attached in that BIOS order, now and
// at later starts. Expect begins at this boot's output.
func (m *Machine) PowerOn(disks ...int) {
	t := m.tb()
	t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.proc != nil {
		t.Fatal("cannot power on: the machine is running")
	}
	if len(disks) > 0 {
		m.cfg.Disks = slices.Clone(disks)
	}
	m.console.skip()
	if err := m.launch(); err != nil {
		t.Fatalf("cannot power on: %v", err)
	}
}

// launch starts the next QEMU. The caller holds m.mu.
func (m *Machine) launch() error {
	if m.closed {
		return fmt.Errorf("the test has ended")
	}
	var p *process
	var err error
	// Another process may have taken the port meanwhile.
	for range 3 {
		p, err = launch(m.starts+1, m.cfg, m.dir, m.resume, m.console)
		if err == nil || !strings.Contains(err.Error(), "host forwarding") {
			break
		}
	}
	if err != nil {
		return err
	}
	m.starts++
	m.resume = ""
	m.proc = p
	go m.follow(p)
	return nil
}

// follow starts the machine again where the guest has reset itself.
func (m *Machine) follow(p *process) {
	<-p.done
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.proc != p {
		return
	}
	m.proc = nil
	m.link.close()
	m.link = nil
	if p.reason != guestReset || m.closed {
		return
	}
	if err := m.launch(); err != nil {
		// WaitReboot will find the machine powered off and say so.
		fmt.Fprintf(m.console, "\nlab: cannot start again: %v\n", err)
	}
}

// take makes the caller the one who ends the running QEMU: nothing starts
// again by itself. It returns nil when the machine is powered off.
func (m *Machine) take() *process {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := m.proc
	m.proc = nil
	m.link.close()
	m.link = nil
	return p
}

// PowerCut takes the power away, and returns when it is gone. Whatever the
// guest has not flushed may be lost. On a machine that is powered off it does
// nothing.
func (m *Machine) PowerCut() {
	if p := m.take(); p != nil {
		p.kill()
	}
}

// PowerOff shuts the guest down and returns once it has powered itself off.
func (m *Machine) PowerOff() {
	t := m.tb()
	t.Helper()
	_, _ = m.Run("systemctl poweroff")
	m.WaitOff(2 * time.Minute)
}

// WaitOff waits until the guest has powered itself off.
func (m *Machine) WaitOff(timeout time.Duration) {
	t := m.tb()
	t.Helper()
	deadline := time.Now().Add(scaled(timeout))
	for m.Running() {
		if time.Now().After(deadline) {
			t.Fatalf("the machine has not powered off after %v\n%s", scaled(timeout), m.console.tail())
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// Running tells whether the machine is powered on.
func (m *Machine) Running() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.proc != nil
}

// Starts is how often the machine was started, resets by the guest included.
func (m *Machine) Starts() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.starts
}

// Reboot asks the guest to reboot and waits until it answers again.
func (m *Machine) Reboot() {
	m.tb().Helper()
	m.RunReboot("systemctl reboot", 4*time.Minute)
}

// RunReboot runs a command which reboots the guest, and waits until the guest
// answers again. A command that exits with an error fails the test; one whose
// connection breaks does not. It returns the command's output.
func (m *Machine) RunReboot(command string, timeout time.Duration) string {
	t := m.tb()
	t.Helper()
	out, err := m.Run(command)
	if ExitCode(err) > 0 {
		t.Fatalf("%s: %v\n%s", command, err, out)
	}
	m.WaitReboot(timeout)
	return out
}

// WaitReboot waits until the guest that was last spoken to by ssh is gone, and
// one that was started later answers: a trial that panics and resets on the
// way is passed over.
func (m *Machine) WaitReboot(timeout time.Duration) {
	t := m.tb()
	t.Helper()
	m.mu.Lock()
	seen := m.seen
	m.mu.Unlock()
	m.waitSSH(t, seen+1, timeout)
}
