package bootloader

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// tree makes a BE's tree: a path that ends in "/" is a directory, a text
// "-> x" makes a link, "|" a FIFO.
func tree(t *testing.T, files map[string]string) *os.Root {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		target, link := strings.CutPrefix(text, "-> ")
		switch {
		case strings.HasSuffix(name, "/"):
			require.NoError(t, os.MkdirAll(path, 0o755))
		case link:
			require.NoError(t, os.Symlink(target, path))
		case text == "|":
			require.NoError(t, unix.Mkfifo(path, 0o644))
		default:
			require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
		}
	}
	root, err := os.OpenRoot(dir)
	require.NoError(t, err)
	t.Cleanup(func() { root.Close() })
	return root
}

func TestInspect(t *testing.T) {
	root := tree(t, map[string]string{
		"boot/vmlinuz-6.1.0-9-amd64":      "k",
		"boot/initrd.img-6.1.0-9-amd64":   "i",
		"boot/vmlinuz-6.1.0-10-amd64":     "k",
		"boot/initrd.img-6.1.0-10-amd64":  "i",
		"boot/vmlinuz-6.1.0-11-amd64":     "k", // no initrd yet
		"boot/vmlinuz-6.1.0-12-amd64.bak": "k",
		"boot/vmlinuz":                    "-> vmlinuz-6.1.0-9-amd64",
		"etc/os-release":                  "-> ../usr/lib/os-release",
		"usr/lib/os-release":              "NAME=Debian\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n",
		"etc/default/grub": "GRUB_DISTRIBUTOR=`lsb_release -i -s 2> /dev/null || echo Debian`\n" +
			"GRUB_CMDLINE_LINUX_DEFAULT=\"quiet\"\nGRUB_CMDLINE_LINUX=\"root=ZFS=rpool/ROOT/x rw net.ifnames=0\"\n",
		"etc/default/grub.d/20-b.cfg": `GRUB_CMDLINE_LINUX_DEFAULT="$GRUB_CMDLINE_LINUX_DEFAULT panic=5"`,
		"etc/default/grub.d/10-a.cfg": "GRUB_CMDLINE_LINUX_DEFAULT=\"${GRUB_CMDLINE_LINUX_DEFAULT} a=1\"\n",
		"etc/default/grub.d/30-c.txt": "GRUB_CMDLINE_LINUX_DEFAULT=no",
	})
	for _, dir := range []string{"boot", "/boot"} {
		boot, err := Inspect(root, dir)
		require.NoError(t, err)
		require.Equal(t, Boot{
			Title:   "Debian GNU/Linux 12 (bookworm)",
			Kernel:  "vmlinuz-6.1.0-10-amd64",
			Initrd:  "initrd.img-6.1.0-10-amd64",
			Cmdline: []string{"net.ifnames=0", "quiet", "a=1", "panic=5"},
		}, boot)
	}
}

func TestInspectKernels(t *testing.T) {
	cases := map[string]struct {
		files  map[string]string
		kernel string
		err    error
		text   string
	}{
		"no boot":      {map[string]string{"etc/": ""}, "", ErrNoKernel, "there is no /boot"},
		"empty boot":   {map[string]string{"boot/": ""}, "", ErrNoKernel, "no kernel in /boot"},
		"no initrd":    {map[string]string{"boot/vmlinuz-6.1": "k", "boot/vmlinuz-5.9": "k"}, "", ErrNoInitrd, "no initrd for vmlinuz-6.1 in /boot: initrd.img-6.1 is missing"},
		"empty initrd": {map[string]string{"boot/vmlinuz-6.1": "k", "boot/initrd.img-6.1": ""}, "", ErrNoInitrd, "no initrd for vmlinuz-6.1"},
		"empty kernel": {map[string]string{"boot/vmlinuz-6.1": "", "boot/initrd.img-6.1": "i"}, "", ErrNoKernel, "/boot/vmlinuz-6.1 is empty"},
		"linked kernel": {map[string]string{"boot/vmlinuz-6.1": "-> /etc/passwd", "boot/initrd.img-6.1": "i"}, "",
			ErrNoKernel, "no regular file"},
		"fifo":             {map[string]string{"boot/vmlinuz-6.1": "|", "boot/initrd.img-6.1": "i"}, "", ErrNoKernel, "no regular file"},
		"directory":        {map[string]string{"boot/vmlinuz-6.1/": "", "boot/initrd.img-6.1": "i"}, "", ErrNoKernel, "no regular file"},
		"dracut":           {map[string]string{"boot/vmlinuz-6.1": "k", "boot/initramfs-6.1.img": "i"}, "vmlinuz-6.1", nil, ""},
		"plain initrd":     {map[string]string{"boot/vmlinuz-6.1": "k", "boot/initrd-6.1": "i"}, "vmlinuz-6.1", nil, ""},
		"candidate before": {map[string]string{"boot/vmlinuz-6.1~rc1": "k", "boot/initrd-6.1~rc1": "i", "boot/vmlinuz-6.1": "k", "boot/initrd-6.1": "i"}, "vmlinuz-6.1", nil, ""},
		"left over": {map[string]string{"boot/vmlinuz-6.1": "k", "boot/initrd-6.1": "i",
			"boot/vmlinuz-6.2.dpkg-new": "k", "boot/initrd-6.2.dpkg-new": "i", "boot/vmlinuz-6.3.old": "k", "boot/initrd-6.3.old": "i"}, "vmlinuz-6.1", nil, ""},
		"odd name": {map[string]string{"boot/vmlinuz-9'; reboot": "k", "boot/initrd-9'; reboot": "i"}, "", ErrNoKernel, "no kernel in /boot"},
		"link out": {map[string]string{"boot": "-> /"}, "", nil, "escapes"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			boot, err := Inspect(tree(t, c.files), "boot")
			if c.text == "" {
				require.NoError(t, err)
				require.Equal(t, c.kernel, boot.Kernel)
				return
			}
			require.ErrorContains(t, err, c.text)
			if c.err != nil {
				require.ErrorIs(t, err, c.err)
			}
		})
	}
}

func TestInspectTellsOfParameters(t *testing.T) {
	root := tree(t, map[string]string{
		"boot/vmlinuz-6.1": "k", "boot/initrd-6.1": "i",
		"etc/default/grub": "A=1\nGRUB_CMDLINE_LINUX=ok\nGRUB_CMDLINE_LINUX_DEFAULT=\"a $(id)\"\n",
	})
	boot, err := Inspect(root, "boot")
	require.ErrorIs(t, err, ErrCmdline)
	require.ErrorContains(t, err, "GRUB_CMDLINE_LINUX_DEFAULT: /etc/default/grub:3: a command substitution is not run")
	require.Equal(t, "vmlinuz-6.1", boot.Kernel)
	require.Equal(t, []string{"ok"}, boot.Cmdline)
}

func TestDefaultsAreNotFollowedOut(t *testing.T) {
	for name, files := range map[string]map[string]string{
		"link":  {"etc/default/grub": "-> /etc/passwd"},
		"fifo":  {"etc/default/grub": "|"},
		"large": {"etc/default/grub": strings.Repeat("#\n", textLimit)},
		"dir":   {"etc/default/grub.d": "-> /etc"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := readCmdline(tree(t, files))
			require.ErrorIs(t, err, ErrCmdline)
		})
	}
}

func TestCompareVersions(t *testing.T) {
	ascending := []string{"", "6.1~rc1", "6.1", "6.1.0-9-amd64", "6.1.0-10-amd64",
		"6.1.0-10-cloud-amd64", "6.1.10", "6.12.48+deb13-amd64", "10"}
	for i, a := range ascending {
		for j, b := range ascending {
			c := compareVersions(a, b)
			switch {
			case i < j:
				require.Negative(t, c, "%q %q", a, b)
			case i > j:
				require.Positive(t, c, "%q %q", a, b)
			default:
				require.Zero(t, c, "%q %q", a, b)
			}
		}
	}
}
