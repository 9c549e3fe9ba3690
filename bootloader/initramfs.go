package bootloader

import (
	"bytes"
	"context"
	"embed"
	"io/fs"
	"path/filepath"
)

// trialInitrdName is a file in GRUB's directory, so that a BE whose initrd was
// made before snapbe was installed has it too.
const trialInitrdName = "snapbe-trial.cpio"

// initramfs is what a trial boot adds to the BE's initrd: a deadline, and a
// check that the BE's init can be started, for initramfs-tools and for
// initramfs images with systemd. Of these no path leads through a link that
// some BE's initrd might have there, such as dracut's directory of hooks.
//
//go:embed all:initramfs
var initramfs embed.FS

// WriteTrialInitrd makes GRUB's directory hold the archive that the trial's
// entry loads, and tells whether it was another before. After a power cut it is
// the old or the new one, whole, for the host and for GRUB.
func (g *GRUB) WriteTrialInitrd() (changed bool, err error) {
	archive, err := trialInitrd()
	if err != nil {
		return false, err
	}
	changed, err = replaceFile(filepath.Join(g.Dir, trialInitrdName), archive, 0o644)
	if err != nil {
		return changed, err
	}
	return changed, g.settle(context.Background())
}

// trialInitrd is the archive, the same at any time and on any host.
func trialInitrd() ([]byte, error) {
	files, err := fs.Sub(initramfs, "initramfs")
	if err != nil {
		return nil, err
	}
	w := &cpioWriter{}
	// By name, so that a directory comes before what is in it.
	err = fs.WalkDir(files, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || name == "." {
			return err
		}
		if d.IsDir() {
			w.add(name, cpioDir|0o755, nil)
			return nil
		}
		text, err := fs.ReadFile(files, name)
		mode := uint32(0o644)
		if bytes.HasPrefix(text, []byte("#!")) {
			mode = 0o755
		}
		w.add(name, cpioFile|mode, text)
		return err
	})
	return w.close(), err
}
