package bootloader

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestEnvPartition: which of a disk's partitions remembers the trial.
func TestEnvPartition(t *testing.T) {
	const (
		esp   = "C12A7328-F81F-11D2-BA4B-00A0C93EC93B"
		boot  = "bc13c2ff-59e6-4262-a352-b275fd6f7172"
		data  = "ebd0a0a2-b9e5-4433-87c0-68b6b72699c7"
		linux = "0fc63daf-8483-4772-8e79-3d69d8477de4"
		other = "de94bba4-06d1-4d40-a16a-bfd50179d6ac" // a vendor's recovery partition
		id    = "0d7e1c11-0001-4a53-9d60-0d4e0b8a1c01"
	)
	fat := func(kname, kind string) block {
		return block{KName: kname, Path: "/dev/" + kname, PKName: "vda", PartType: kind, FSType: "vfat", PartUUID: id}
	}
	foreign, ext4, nameless := fat("vda1", esp), fat("vda1", esp), fat("vda1", esp)
	foreign.PKName, ext4.FSType, nameless.PartUUID = "vdb", "ext4", ""
	cases := map[string]struct {
		blocks []block
		want   string
	}{
		"none":               {nil, ""},
		"ESP first":          {[]block{fat("vda1", data), fat("vda2", boot), fat("vda3", esp)}, "/dev/vda3"},
		"then XBOOTLDR":      {[]block{fat("vda1", data), fat("vda2", boot)}, "/dev/vda2"},
		"then data":          {[]block{fat("vda1", linux), fat("vda2", data)}, "/dev/vda2"},
		"then Linux's":       {[]block{fat("vda1", other), fat("vda2", linux)}, "/dev/vda2"},
		"by number":          {[]block{fat("vda10", esp), fat("vda9", esp)}, "/dev/vda9"},
		"a vendor's":         {[]block{fat("vda1", other)}, ""},
		"on another disk":    {[]block{foreign}, ""},
		"another filesystem": {[]block{ext4}, ""},
		"without an id":      {[]block{nameless}, ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			g, _ := testHost(t)
			blocks := map[string]block{}
			for _, b := range c.blocks {
				blocks[b.KName] = b
				sysfs(t, g, map[string]string{b.KName + "/partition": "7"})
			}
			d := Device{Disk: Disk{Name: "vda"}}
			require.NoError(t, g.envPartition(blocks, &d))
			require.Equal(t, c.want, d.Env)
			require.Equal(t, c.want != "", d.EnvUUID == id && d.EnvPart == 7)
			require.Empty(t, d.ESP, "none of them has a volume id")
		})
	}
}
