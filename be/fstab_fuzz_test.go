package be

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

// FuzzFstab: renaming and renaming back leaves every byte as it was, and what
// does not name the dataset is not touched.
func FuzzFstab(f *testing.F) {
	f.Add("bpool/BOOT/debian /boot zfs defaults 0 0\n")
	f.Add("# rpool/ROOT/debian\n\trpool/ROOT/debian/var\t/var zfs\nrpool/ROOT/debian-2 /x zfs\n\n \n")
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Contains(text, "rpool/ROOT/new") {
			t.Skip()
		}
		there := map[string]string{"rpool/ROOT/debian": "rpool/ROOT/new"}
		back := map[string]string{"rpool/ROOT/new": "rpool/ROOT/debian"}
		renamed := fstabWith(text, there)
		assert.Equal(t, text, fstabWith(renamed, back))
		if !strings.Contains(text, "rpool/ROOT/debian") {
			assert.Equal(t, text, renamed)
		}
	})
}
