package zfs

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"snapbe/internal/command"
)

func TestPack(t *testing.T) {
	list := nvlist{
		{"origin", "p/a@s"},
		{"props", nvlist{{"canmount", uint64(2)}}},
		{"p/a@s", true},
	}
	// As nvlist_pack(3) of libnvpair writes it with NV_ENCODE_XDR.
	want := "\x01\x01\x00\x00" + "\x00\x00\x00\x00\x00\x00\x00\x01" +
		"\x00\x00\x00\x28\x00\x00\x00\x20" + "\x00\x00\x00\x06origin\x00\x00" + "\x00\x00\x00\x09\x00\x00\x00\x01" + "\x00\x00\x00\x05p/a@s\x00\x00\x00" +
		"\x00\x00\x00\x50\x00\x00\x00\x30" + "\x00\x00\x00\x05props\x00\x00\x00" + "\x00\x00\x00\x13\x00\x00\x00\x01" +
		"\x00\x00\x00\x00\x00\x00\x00\x01" +
		"\x00\x00\x00\x24\x00\x00\x00\x28" + "\x00\x00\x00\x08canmount" + "\x00\x00\x00\x08\x00\x00\x00\x01" + "\x00\x00\x00\x00\x00\x00\x00\x02" +
		"\x00\x00\x00\x00\x00\x00\x00\x00" +
		"\x00\x00\x00\x1c\x00\x00\x00\x18" + "\x00\x00\x00\x05p/a@s\x00\x00\x00" + "\x00\x00\x00\x01\x00\x00\x00\x00" +
		"\x00\x00\x00\x00\x00\x00\x00\x00"
	assert.Equal(t, []byte(want), list.pack())
}

func TestWhatTheKernelRefusesThePrograms(t *testing.T) {
	var asked []string
	refuse := errors.New("no")
	k := &kernel{ioctl: func(_ uint, name string, _ nvlist) error {
		asked = append(asked, name)
		if name == "p/taken" {
			return refuse
		}
		return nil
	}}
	s := &said{}
	z := &Tools{runner: s, kernel: k}
	require.NoError(t, z.Snapshot(t.Context(), []string{"p/a@s", "p/b@s"}, Props{"a:b": "c"}))
	require.NoError(t, z.Clone(t.Context(), []Clone{
		{Snapshot: "p/a@s", Target: "p/c", Props: Props{"canmount": "noauto", "mountpoint": "/", "a:b": "c"}},
		{Snapshot: "p/a@s", Target: "p/taken"},
		{Snapshot: "p/a@s", Target: "p/unknown", Props: Props{"compression": "lz4"}},
	}))
	assert.ElementsMatch(t, []string{"p", "p/c", "p/taken"}, asked)
	assert.ElementsMatch(t, []string{"zfs clone -- p/a@s p/taken", "zfs clone -o compression=lz4 -- p/a@s p/unknown"}, s.ran)
}

func TestNative(t *testing.T) {
	list, ok := native(Props{"canmount": "noauto", "readonly": "on", "exec": "off", "mountpoint": "none", "a:b": "on"})
	require.True(t, ok)
	assert.Equal(t, nvlist{{"a:b", "on"}, {"canmount", uint64(2)}, {"exec", uint64(0)}, {"mountpoint", "none"}, {"readonly", uint64(1)}}, list)
	for _, props := range []Props{
		{"canmount": "perhaps"}, {"mountpoint": "relative"}, {"compression": "off"}, {"readonly": ""}, {"quota": "1"},
	} {
		_, ok := native(props)
		assert.False(t, ok, "%v", props)
	}
}

// wrapped is a Runner around another one, such as one that keeps a log.
type wrapped struct{ command.Runner }

func (w wrapped) Unwrap() command.Runner { return w.Runner }

// What starts the host's own programs may be wrapped, and the kernel is asked
// all the same; what only answers in their place has no kernel.
func TestTheKernelIsAskedOnTheHost(t *testing.T) {
	for _, c := range []struct {
		runner command.Runner
		host   bool
	}{
		{command.Exec{}, true}, {wrapped{command.Exec{}}, true},
		{&said{}, false}, {wrapped{&said{}}, false},
	} {
		assert.Equal(t, c.host, startsHostPrograms(c.runner), "%T", c.runner)
	}
}
