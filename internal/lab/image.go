package lab

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gofrs/flock"
)

// Image is a directory which holds disk1.qcow2, disk2.qcow2 and id_ed25519.
// Nothing in it is written to once it is made.
type Image string

// keyFile is the name of root's private ssh key in an image.
const keyFile = "id_ed25519"

// Base returns the image of a plain Debian with its root on ZFS, release
// "trixie" or "bookworm", layout "single" (one pool which GRUB reads) or
// "split" (bpool and rpool). The first call on a machine needs root, a Debian
// archive and some minutes; later ones return at once.
func Base(t testing.TB, release, layout string) Image {
	t.Helper()
	root, err := moduleRoot()
	if err != nil {
		t.Fatalf("cannot find the lab's scripts: %v", err)
	}
	// Killed with the test, or a build would go on after go test's timeout.
	ctx, cancel := context.WithTimeout(context.Background(), scaled(30*time.Minute))
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(root, "testdata/vm/build.sh"), release, layout)
	cmd.SysProcAttr = dieWithParent()
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if stderr.Len() > 0 {
		t.Logf("build.sh:\n%s", stderr.String())
	}
	if err != nil {
		t.Fatalf("cannot build the %s %s image: %v", release, layout, err)
	}
	return Image(strings.TrimSpace(string(out)))
}

// Derive returns the image in dir, and makes it first where it is missing:
// it boots a machine on the image from, hands it to prepare, powers it off and
// keeps its disks. They remain overlays, so from must stay where it is. Where
// two processes ask at once, one of them works and the other waits.
func Derive(t testing.TB, from Image, dir string, prepare func(*Machine)) Image {
	t.Helper()
	return derive(t, from, dir, prepare, func(m *Machine) error {
		m.PowerOff()
		return nil
	})
}

// derive does what Derive promises; end leaves the machine's disks to be kept.
func derive(t testing.TB, from Image, dir string, prepare func(*Machine), end func(*Machine) error) Image {
	t.Helper()
	dir, err := filepath.Abs(dir)
	if err != nil {
		t.Fatalf("cannot derive an image: %v", err)
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		t.Fatalf("cannot derive an image: %v", err)
	}
	lock := flock.New(dir + ".lock")
	if err := lock.Lock(); err != nil {
		t.Fatalf("cannot derive an image: %v", err)
	}
	defer func() { _ = lock.Close() }()
	if _, err := os.Stat(dir); err == nil {
		return Image(dir)
	}
	part := dir + ".part"
	if err := os.RemoveAll(part); err != nil {
		t.Fatalf("cannot derive an image: %v", err)
	}
	m := Start(t, Config{Image: from, Dir: part})
	m.WaitSSH(4 * time.Minute)
	prepare(m)
	err = end(m)
	var key []byte
	if err == nil {
		key, err = os.ReadFile(filepath.Join(string(from), keyFile))
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(part, keyFile), key, 0o600)
	}
	if err == nil {
		err = os.Rename(part, dir)
	}
	if err != nil {
		t.Fatalf("cannot derive an image: %v", err)
	}
	return Image(dir)
}

// disk returns the path of disk n, which is 1 or 2.
func (i Image) disk(n int) string { return diskPath(string(i), n) }

func diskPath(dir string, n int) string {
	return filepath.Join(dir, fmt.Sprintf("disk%d.qcow2", n))
}

// overlay makes dir's disk n on top of the image's, unless dir has it already.
func (i Image) overlay(dir string, n int) error {
	file := diskPath(dir, n)
	if _, err := os.Stat(file); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	backing, err := filepath.Abs(i.disk(n))
	if err != nil {
		return err
	}
	out, err := exec.Command("qemu-img", "create", "-q", "-f", "qcow2",
		"-b", backing, "-F", "qcow2", file).CombinedOutput()
	if err != nil {
		return fmt.Errorf("qemu-img create %q: %w: %s", file, err, out)
	}
	return nil
}

// moduleRoot is the directory of go.mod at or above the working directory,
// which for a test is its package's.
func moduleRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		up := filepath.Dir(dir)
		if up == dir {
			return "", errors.New("no go.mod above the working directory")
		}
		dir = up
	}
}
