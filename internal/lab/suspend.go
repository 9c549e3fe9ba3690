package lab

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// stateFile and shapeFile are what an image of a running machine holds more
// than one of a machine that is powered off: its memory and devices' state, and
// the Config that QEMU must be started with to take it.
const (
	stateFile = "state"
	shapeFile = "shape.json"
)

// DeriveRunning is [Derive] for a machine that is kept as it stands, running,
// for [Resume].
func DeriveRunning(t testing.TB, from Image, dir string, prepare func(*Machine)) Image {
	t.Helper()
	return derive(t, from, dir, prepare, (*Machine).suspend)
}

// BaseRunning is [Base], booted and kept running, for [Resume]: a fresh host
// without the wait for its boot. It is kept beside the base image, for this
// version of QEMU and this processor.
func BaseRunning(t testing.TB, release, layout string) Image {
	t.Helper()
	base := Base(t, release, layout)
	version, err := exec.Command("qemu-system-x86_64", "--version").Output()
	if err != nil {
		t.Fatalf("cannot ask for QEMU's version: %v", err)
	}
	dir := fmt.Sprintf("%s-running-%.6x", base, sha256.Sum256(append(version, cpuModel+processors(1)...)))
	return DeriveRunning(t, base, dir, func(m *Machine) {
		// What goes on after the boot is over once, and not in every test.
		m.MustRun("systemctl is-system-running --wait; sync; zpool sync")
	})
}

// Resume starts a machine from an image that DeriveRunning made, and returns
// when it answers by ssh: it goes on from where it stood, without a boot, with
// its clock set. Of cfg, only Image and Dir count. A machine can be resumed
// any number of times, also side by side.
func Resume(t testing.TB, cfg Config) *Machine {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(string(cfg.Image), shapeFile))
	shape := cfg
	if err == nil {
		err = json.Unmarshal(data, &shape)
	}
	if err != nil {
		t.Fatalf("cannot resume a machine: %v", err)
	}
	shape.Image, shape.Dir = cfg.Image, cfg.Dir
	m := newMachine(t, shape)
	m.resume, err = filepath.Abs(filepath.Join(string(cfg.Image), stateFile))
	if err != nil {
		t.Fatalf("cannot resume a machine: %v", err)
	}
	m.PowerOn()
	m.WaitSSH(3 * time.Minute)
	m.MustRun(fmt.Sprintf("date -s @%d", time.Now().Unix()))
	return m
}

// suspend stops the machine where it stands and saves that beside its disks.
func (m *Machine) suspend() error {
	shape, err := json.Marshal(m.cfg)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(m.dir, shapeFile), shape, 0o644); err != nil {
		return err
	}
	p := m.take()
	if p == nil {
		return fmt.Errorf("the machine is powered off")
	}
	// It is nobody's any more, so it must not outlive this function.
	defer p.kill()
	// Not stopped first: whether it ran is a part of the state.
	if err := p.qmp.save(filepath.Join(m.dir, stateFile)); err != nil {
		return err
	}
	// QEMU may be gone before its answer has been read; that it ends counts.
	_, err = p.qmp.command("quit", nil)
	select {
	case <-p.done:
		return nil
	case <-time.After(time.Minute):
		return errors.Join(errors.New("qemu does not end"), err)
	}
}

// save writes the guest's memory and its devices' state to a file. Afterwards
// the guest stands still.
func (q *qmp) save(path string) error {
	limits := map[string]any{"max-bandwidth": int64(16) << 30}
	if _, err := q.command("migrate-set-parameters", limits); err != nil {
		return err
	}
	uri := map[string]any{"uri": "exec:cat >" + quote(path)}
	if _, err := q.command("migrate", uri); err != nil {
		return err
	}
	deadline := time.Now().Add(scaled(2 * time.Minute))
	for time.Now().Before(deadline) {
		answer, err := q.command("query-migrate", nil)
		if err != nil {
			return err
		}
		var info struct {
			Status string `json:"status"`
			Desc   string `json:"error-desc"`
		}
		if err := json.Unmarshal(answer, &info); err != nil {
			return err
		}
		switch info.Status {
		case "completed":
			return nil
		case "failed", "cancelled":
			return fmt.Errorf("save the machine's state: %s %s", info.Status, info.Desc)
		}
		time.Sleep(50 * time.Millisecond)
	}
	return fmt.Errorf("save the machine's state: no end after %v", scaled(2*time.Minute))
}
