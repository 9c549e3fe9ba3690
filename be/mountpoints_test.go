package be

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestMountPointNames(t *testing.T) {
	assert.Equal(t, []string{"/var/a b", "/", "none"}, fstabDirs("#/dev/x /y\n\n/dev/a /var/a\\040b/ ext4\n/dev/b / zfs 0 0\nx none swap\nshort\n"))
	for name, dir := range map[string]string{"var-log": "/var/log", `var-a\x2db`: "/var/a-b", "-": "//", `x\x`: `/x\x`} {
		assert.Equal(t, dir, unitDir(name), name)
	}
}
