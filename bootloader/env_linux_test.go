package bootloader

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// onDir opens a plain directory in place of a FAT's top directory.
func onDir(t *testing.T, dir string) int {
	t.Helper()
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, unix.Close(fd)) })
	return fd
}

func TestEnvFile(t *testing.T) {
	dir := t.TempDir()
	at, path := onDir(t, dir), filepath.Join(dir, "snapbe/grubenv")
	_, err := readEnvFile(at)
	require.ErrorIs(t, err, fs.ErrNotExist)

	first, second := envBlock("first"), envBlock("second")
	require.NoError(t, writeEnvFile(at, first))
	got, err := readEnvFile(at)
	require.NoError(t, err)
	require.Equal(t, first, got)
	before, err := os.Stat(path)
	require.NoError(t, err)

	require.NoError(t, writeEnvFile(at, second))
	got, err = readEnvFile(at)
	require.NoError(t, err)
	require.Equal(t, second, got)
	after, err := os.Stat(path)
	require.NoError(t, err)
	require.True(t, os.SameFile(before, after), "it is written where it lies")
}

// TestEnvFileMadeAnew: what is not the file that snapbe made is no trial, and is
// replaced, without writing to what it leads to.
func TestEnvFileMadeAnew(t *testing.T) {
	outside := filepath.Join(t.TempDir(), "outside")
	cases := map[string]func(t *testing.T, path string){
		"short": func(t *testing.T, path string) { require.NoError(t, os.WriteFile(path, []byte("x"), 0o600)) },
		"long":  func(t *testing.T, path string) { require.NoError(t, os.WriteFile(path, make([]byte, 1025), 0o600)) },
		"pipe":  func(t *testing.T, path string) { require.NoError(t, unix.Mkfifo(path, 0o600)) },
		"two names": func(t *testing.T, path string) {
			require.NoError(t, os.WriteFile(path+"2", make([]byte, envSize), 0o600))
			require.NoError(t, os.Link(path+"2", path))
		},
		"left over": func(t *testing.T, path string) {
			require.NoError(t, os.WriteFile(path, nil, 0o600))
			require.NoError(t, os.Symlink(outside, path+".new"))
		},
	}
	for name, put := range cases {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			at, path := onDir(t, dir), filepath.Join(dir, "snapbe/grubenv")
			require.NoError(t, os.Mkdir(filepath.Dir(path), 0o755))
			put(t, path)
			_, err := readEnvFile(at)
			require.ErrorIs(t, err, ErrEnvDamaged)
			require.NoError(t, writeEnvFile(at, envBlock("new")))
			got, err := readEnvFile(at)
			require.NoError(t, err)
			require.Equal(t, envBlock("new"), got)
			require.NoFileExists(t, path+".new")
			require.NoFileExists(t, outside)
		})
	}
}

// TestEnvFileInTheWay: nothing of the administrator's is removed, and no link is
// followed.
func TestEnvFileInTheWay(t *testing.T) {
	outside := t.TempDir()
	cases := map[string]func(t *testing.T, dir string){
		"a file for the directory": func(t *testing.T, dir string) {
			require.NoError(t, os.WriteFile(filepath.Join(dir, "snapbe"), []byte("mine"), 0o600))
		},
		"a link for the directory": func(t *testing.T, dir string) {
			require.NoError(t, os.Symlink(outside, filepath.Join(dir, "snapbe")))
		},
		"a directory for the file": func(t *testing.T, dir string) {
			require.NoError(t, os.MkdirAll(filepath.Join(dir, "snapbe/grubenv/mine"), 0o700))
		},
		"a link for the file": func(t *testing.T, dir string) {
			require.NoError(t, os.Mkdir(filepath.Join(dir, "snapbe"), 0o700))
			require.NoError(t, os.Symlink(filepath.Join(outside, "x"), filepath.Join(dir, "snapbe/grubenv")))
		},
	}
	for name, put := range cases {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			put(t, dir)
			at := onDir(t, dir)
			_, err := readEnvFile(at)
			require.Error(t, err)
			err = envError(writeEnvFile(at, envBlock("new")))
			require.ErrorIs(t, err, ErrEnvInWay)
			require.ErrorContains(t, err, "snapbe")
			left, err := os.ReadDir(outside)
			require.NoError(t, err)
			require.Empty(t, left)
			leftover, err := filepath.Glob(filepath.Join(dir, "snapbe/*.new"))
			require.NoError(t, err)
			require.Empty(t, leftover)
		})
	}
}

// TestEnvErrors: each names the disk and the way out.
func TestEnvErrors(t *testing.T) {
	g := &GRUB{}
	d := Device{Disk: Disk{Name: "vda"}}
	_, err := g.ReadEnv(t.Context(), d)
	require.ErrorIs(t, err, ErrNoEnv)
	require.ErrorContains(t, err, "disk vda: no FAT partition")
	require.ErrorContains(t, err, "--no-trial")
	require.ErrorIs(t, g.WriteEnv(t.Context(), d, Env{}), ErrNoEnv)
	require.ErrorContains(t, g.WriteEnv(t.Context(), d, Env{Trial: "a b"}), "malformed uuid")
	for errno, want := range map[unix.Errno]error{unix.EROFS: ErrEnvReadOnly, unix.ENOSPC: ErrEnvFull} {
		err := envError(&fs.PathError{Op: "open", Path: envPath, Err: errno})
		require.ErrorIs(t, err, want)
		require.ErrorContains(t, err, envPath)
	}
	require.ErrorIs(t, withMount("nosuchfs", "/dev/null", false, nil), ErrNoVFAT)
}

// TestWithMount mounts a file system that this machine's kernel has, in place of
// a FAT, which a virtual machine's tests mount.
func TestWithMount(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root mounts; TestRealEnv in a virtual machine does the same with a FAT")
	}
	image := filepath.Join(t.TempDir(), "image")
	require.NoError(t, os.WriteFile(image, nil, 0o600))
	require.NoError(t, os.Truncate(image, 8<<20))
	run := func(argv ...string) string {
		out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput()
		require.NoError(t, err, "%v: %s", argv, out)
		return strings.TrimSpace(string(out))
	}
	run("mke2fs", "-q", "-t", "ext2", image)
	loop := run("losetup", "--find", "--show", image)
	t.Cleanup(func() { run("losetup", "-d", loop) })
	at := t.TempDir()
	mounts := func() (own int) {
		text, err := os.ReadFile("/proc/self/mountinfo")
		require.NoError(t, err)
		return strings.Count(string(text), " "+loop+" ") - strings.Count(string(text), " "+at+" ")
	}
	write := func(text string) error {
		return withMount("ext2", loop, true, func(dir int) error { return writeEnvFile(dir, envBlock(text)) })
	}
	read := func() (text string, err error) {
		err = withMount("ext2", loop, false, func(dir int) error {
			require.Zero(t, mounts(), "the mount is nowhere")
			block, err := readEnvFile(dir)
			text = strings.TrimRight(string(block), "#")
			return err
		})
		return text, err
	}
	require.NoError(t, write("one"))
	got, err := read()
	require.NoError(t, err)
	require.Equal(t, "one", got)
	require.ErrorIs(t, withMount("ext2", loop, false, func(dir int) error { return writeEnvFile(dir, envBlock("x")) }),
		ErrEnvReadOnly)

	for option, want := range map[string]error{"rw": nil, "ro": ErrEnvReadOnly} {
		run("mount", "-t", "ext2", "-o", option, loop, at)
		wrote := write("while mounted " + option)
		got, err := read()
		run("umount", at)
		require.ErrorIs(t, wrote, want)
		require.NoError(t, err)
		require.NotEmpty(t, got)
	}
	got, err = read()
	require.NoError(t, err)
	require.Equal(t, "while mounted rw", got)
	require.Zero(t, mounts())
	require.ErrorContains(t, withMount("ext4", "/dev/null", false, nil), "mount: ")
}
