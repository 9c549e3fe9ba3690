package lab

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

// Config says what to start. The zero value of everything but Image is usable.
type Config struct {
	Image Image
	// Dir receives the disks' overlays and console.log. What it holds already
	// is used as it is. By default it is the test's temporary directory.
	Dir string
	// Disks are the disks attached, in the BIOS' order: {2, 1} boots from disk
	// 2. By default {1, 2}.
	Disks []int
	// MemoryMB is the guest's memory in MiB, by default 2048.
	MemoryMB int
	// CPUs is the number of virtual processors, by default 1: emulation has no
	// need of atomic operations then, and more machines side by side take less
	// of the processor than fewer with two each.
	CPUs int
	// Args are further arguments of QEMU.
	Args []string
}

// Machine is a virtual machine, running or powered off.
type Machine struct {
	cfg     Config
	dir     string
	signer  ssh.Signer
	console *console

	owner testing.TB // that started it

	mu     sync.Mutex
	t      testing.TB // that uses it
	proc   *process   // nil when powered off
	starts int        // QEMU processes so far
	seen   int        // the last of them that answered by ssh
	link   *link      // to proc, or nil
	closed bool
	resume string // the state file to start from, the first time
}

// Start powers a new machine on and returns without waiting for it. It is
// killed at the end of t.
func Start(t testing.TB, cfg Config) *Machine {
	t.Helper()
	m := newMachine(t, cfg)
	m.PowerOn()
	return m
}

func newMachine(t testing.TB, cfg Config) *Machine {
	t.Helper()
	if len(cfg.Disks) == 0 {
		cfg.Disks = []int{1, 2}
	}
	cfg.MemoryMB = cmp.Or(cfg.MemoryMB, 2048)
	cfg.CPUs = cmp.Or(cfg.CPUs, 1)
	dir := cfg.Dir
	if dir == "" {
		dir = t.TempDir()
	}
	m := &Machine{cfg: cfg, dir: dir, owner: t, t: t}
	if err := m.prepare(); err != nil {
		t.Fatalf("cannot start a machine: %v", err)
	}
	t.Cleanup(m.close)
	return m
}

func (m *Machine) prepare() error {
	if err := os.MkdirAll(m.dir, 0o755); err != nil {
		return err
	}
	for _, n := range []int{1, 2} {
		if err := m.cfg.Image.overlay(m.dir, n); err != nil {
			return err
		}
	}
	key, err := os.ReadFile(filepath.Join(string(m.cfg.Image), keyFile))
	if err != nil {
		return err
	}
	if m.signer, err = ssh.ParsePrivateKey(key); err != nil {
		return fmt.Errorf("parse %q: %w", keyFile, err)
	}
	m.console, err = newConsole(filepath.Join(m.dir, consoleFile))
	return err
}

// Bind makes t the test that failures are reported to from now on, for a
// machine which several tests use one after the other. The machine still ends
// with the test that started it.
func (m *Machine) Bind(t testing.TB) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.t = t
}

// tb is the test to report to.
func (m *Machine) tb() testing.TB {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.t
}

// DiskPath is the qcow2 file of disk n, 1 or 2. It is QEMU's while the machine
// is powered on.
func (m *Machine) DiskPath(n int) string { return diskPath(m.dir, n) }

// close ends the machine, and keeps its console if the test has failed.
func (m *Machine) close() {
	m.mu.Lock()
	m.closed = true
	proc := m.proc
	m.mu.Unlock()
	if proc != nil {
		proc.kill()
	}
	m.console.close()
	t := m.owner
	if !t.Failed() {
		return
	}
	file, err := m.console.keep(t.Name())
	if err != nil {
		t.Logf("cannot keep the console: %v", err)
		return
	}
	t.Logf("console of the failed machine: %s", file)
}

// scaled is d times $SNAPBE_LAB_SLOW.
func scaled(d time.Duration) time.Duration {
	factor, err := strconv.ParseFloat(os.Getenv("SNAPBE_LAB_SLOW"), 64)
	if err != nil || factor <= 0 {
		return d
	}
	return time.Duration(float64(d) * factor)
}
