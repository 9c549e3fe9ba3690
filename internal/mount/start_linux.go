package mount

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"snapbe/internal/command"
)

// start starts the command; the code is not 0 where there is no command to be
// run by that name.
func (p *pid1) start() (int, error) {
	dir := "/" + p.Dir
	root, err := unix.Open(treeDir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0, fmt.Errorf("open the tree: %w", err)
	}
	defer shut(root)
	if fd, err := openBelow(root, dir, unix.O_DIRECTORY, 0); err != nil {
		return 0, fmt.Errorf("start in directory %q: %w", dir, err)
	} else {
		shut(fd)
	}
	path, code := find(root, dir, p.Argv[0], p.Env)
	if code == 0 {
		code, err = p.startAt(path, dir)
	}
	if code != 0 && err == nil {
		what := "command not found"
		if code == ExitNotExecutable {
			what = "not executable"
		}
		fmt.Fprintf(os.Stderr, "snapbe: cannot run %q: %s\n", p.Argv[0], what)
	}
	return code, err
}

func (p *pid1) startAt(path, dir string) (int, error) {
	run := p.startChrooted
	if p.Confined {
		run = p.startConfined
	}
	err := run(path, dir)
	switch {
	case err == nil:
		return 0, nil
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENOTDIR): // its interpreter is missing
		return ExitNotFound, nil
	case errors.Is(err, unix.EACCES), errors.Is(err, unix.ENOEXEC), errors.Is(err, unix.EPERM), errors.Is(err, unix.EISDIR):
		return ExitNotExecutable, nil
	}
	return 0, fmt.Errorf("run %q: %w", p.Argv[0], err)
}

func (p *pid1) startChrooted(path, dir string) error {
	sys := &syscall.SysProcAttr{Chroot: treeDir}
	if p.Terminal == ownTerminal {
		sys.Foreground, sys.Ctty = true, fdTerminal
	}
	proc, err := command.Start(path, p.Argv, &os.ProcAttr{
		Dir: dir, Env: p.Env, Sys: sys,
		Files: []*os.File{os.Stdin, os.Stdout, os.Stderr},
	})
	if err != nil {
		return err
	}
	p.command = proc.Pid
	return proc.Release() // serve waits for all processes alike
}

// find looks a command up as a shell does, but below root.
func find(root int, dir, name string, env []string) (string, int) {
	places := []string{dir}
	if !strings.Contains(name, "/") {
		places = nil
		for _, v := range env { // the last one counts
			if path, ok := strings.CutPrefix(v, "PATH="); ok {
				places = filepath.SplitList(path)
			}
		}
	}
	code := ExitNotFound
	for _, place := range places {
		path := filepath.Join(place, name)
		switch {
		case filepath.IsAbs(name):
			path = name
		case !filepath.IsAbs(path):
			path = filepath.Join(dir, path)
		}
		fd, err := openBelow(root, path, 0, 0)
		if err != nil {
			continue
		}
		var stat unix.Stat_t
		err = unix.Fstat(fd, &stat)
		shut(fd)
		if err == nil && stat.Mode&unix.S_IFMT == unix.S_IFREG && stat.Mode&0o111 != 0 {
			return path, 0
		}
		code = ExitNotExecutable
	}
	return "", code
}
