package sharedvar

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"

	"snapbe/internal/treecopy"
)

// move has a directory's content in the share, and the symlink in its place.
func (p *placer) move(ctx context.Context, dir string, there, old treecopy.Info) (Placement, string, error) {
	name := "var/" + dir
	err := obstacle(p.be, name, p.mounted)
	mount, mounted := errors.AsType[*MountError](err)
	fixed, immutable := errors.AsType[*ImmutableError](err)
	switch {
	case mounted:
		return Held, mount.Error(), nil
	case immutable && there.Kind == "":
		return Held, fixed.Error(), nil
	case err != nil && !immutable:
		return "", "", err
	}
	if old.Kind != "" {
		// Whoever made the directory anew, it is not what was moved.
		if _, err := p.aside(oldName(dir), dir); err != nil {
			return "", "", err
		}
	}
	if there.Kind == "" {
		if err := p.stage(dir, func(staged string) error { return p.copy(ctx, name, staged) }); err != nil {
			return "", "", err
		}
	}
	// Until here a power cut leaves the directory, and from now on both; the
	// BE's own is removed only if the share has all of it.
	has, err := within(ctx, p.be, name, p.share, dir)
	if err != nil {
		return "", "", err
	}
	if !has || immutable {
		kept, err := p.aside(name, dir)
		if err != nil {
			return "", "", err
		}
		return KeptAside, kept, p.be.Symlink("share/"+dir, name)
	}
	if err := p.be.Rename(name, oldName(dir)); err != nil {
		return "", "", err
	}
	if err := p.be.Symlink("share/"+dir, name); err != nil {
		return "", "", err
	}
	return Moved, "", p.be.RemoveAll(oldName(dir))
}

// finish does what a power cut kept from being done once the symlink was
// there: what was moved is removed, or kept if the share has not all of it.
func (p *placer) finish(ctx context.Context, dir string) (Placement, string, error) {
	has, err := within(ctx, p.be, oldName(dir), p.share, dir)
	if err != nil {
		return "", "", err
	}
	if has {
		return Moved, "", p.be.RemoveAll(oldName(dir))
	}
	kept, err := p.aside(oldName(dir), dir)
	return KeptAside, kept, err
}

// copy copies a directory to the share. Special files are made anew: it is the
// same host.
func (p *placer) copy(ctx context.Context, name, staged string) error {
	report, err := p.share.CopyTree(ctx, p.be, name, staged, treecopy.WithSpecials)
	if err == nil && len(report.Immutable) > 0 {
		err = &ImmutableError{Name: report.Immutable[0]}
	}
	return err
}

// stage has a directory made, and renames it to its place in the share.
func (p *placer) stage(dir string, build func(staged string) error) error {
	err := p.share.Mkdir(staging, own(0o700))
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	staged := staging + "/" + dir
	if err := p.share.RemoveAll(staged); err != nil {
		return err
	}
	if err := build(staged); err != nil {
		return err
	}
	return p.share.Rename(staged, dir)
}

// aside keeps a directory where nobody else reads it, and tells where.
func (p *placer) aside(name, dir string) (string, error) {
	err := p.be.Mkdir(before, own(0o700))
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return "", err
	}
	for n := 0; ; n++ {
		to := before + "/" + dir
		if n > 0 {
			to += "." + strconv.Itoa(n)
		}
		is, err := look(p.be, to)
		if err != nil {
			return "", err
		}
		if is.Kind == "" {
			return to, p.be.Rename(name, to)
		}
	}
}

// fresh is the attributes of a directory that the share has lost.
func (p *placer) fresh(dir string) (treecopy.Info, error) {
	like := own(0o755)
	switch dir {
	case "tmp":
		like.Mode = 0o777 | fs.ModeSticky
	case "mail":
		gid, err := p.group("mail")
		if err != nil {
			return like, err
		}
		if gid >= 0 {
			like.GID, like.Mode = gid, 0o775|fs.ModeSetgid
		}
	}
	return like, nil
}

// group is the number of one of the BE's groups (group(5)), -1 if there is
// none of that name.
func (p *placer) group(name string) (int, error) {
	f, err := p.be.OpenFile("etc/group")
	if errors.Is(err, fs.ErrNotExist) {
		return -1, nil
	}
	if err != nil {
		return -1, err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		fields := strings.Split(lines.Text(), ":")
		if len(fields) < 3 || fields[0] != name {
			continue
		}
		if gid, err := strconv.Atoi(fields[2]); err == nil && gid >= 0 {
			return gid, nil
		}
	}
	if err := lines.Err(); err != nil {
		return -1, fmt.Errorf("read %q: %w", f.Name(), err)
	}
	return -1, nil
}
