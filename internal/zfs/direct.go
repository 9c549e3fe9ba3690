package zfs

import (
	"maps"
	"slices"
	"strings"
)

// kernel asks the kernel module itself, through /dev/zfs. It makes snapshots
// and clones without a process for each, several times as fast. It is only
// ever a shortcut: what it does not know, and whatever the module refuses, is
// left to the programs, which do it or say why not.
type kernel struct {
	// ioctl calls the module; it returns nil where the module did it.
	ioctl func(request uint, name string, args nvlist) error
}

// Requests of the module, stable since OpenZFS 0.8 (sys/fs/zfs.h).
const (
	requestSnapshot = 0x5a23
	requestClone    = 0x5a42
)

// directWidth is how many clones are asked for at once. Each waits in the
// kernel for a transaction group and costs nothing while it does.
const directWidth = 32

// snapshot tells whether the snapshots were made.
func (k *kernel) snapshot(names []string, props Props) bool {
	if k == nil {
		return false
	}
	var list nvlist
	for _, name := range names {
		if slices.ContainsFunc(list, func(p nvpair) bool { return p.name == name }) {
			return false
		}
		list = append(list, nvpair{name, true})
	}
	args := nvlist{{"snaps", list}}
	if len(props) > 0 {
		values, ok := native(props)
		if !ok {
			return false
		}
		args = append(args, nvpair{"props", values})
	}
	return k.ioctl(requestSnapshot, PoolOf(names[0]), args) == nil
}

// clone tells whether the clone was made.
func (k *kernel) clone(c Clone) bool {
	if k == nil {
		return false
	}
	args := nvlist{{"origin", c.Snapshot}}
	if len(c.Props) > 0 {
		values, ok := native(c.Props)
		if !ok {
			return false
		}
		args = append(args, nvpair{"props", values})
	}
	return k.ioctl(requestClone, c.Target, args) == nil
}

// onOff are native properties with the numbers of "off" and "on", as libzfs
// gives them to the module (zfs_prop.c).
var onOff = []string{"atime", "devices", "exec", "readonly", "relatime", "setuid"}

// native writes properties as the module wants them: libzfs has turned words
// into numbers by then. It knows those that boot environments set; false
// tells of others.
func native(props Props) (nvlist, bool) {
	var list nvlist
	for _, prop := range slices.Sorted(maps.Keys(props)) {
		value := props[prop]
		var words []string
		switch {
		case strings.Contains(prop, ":"):
			list = append(list, nvpair{prop, value})
			continue
		case prop == "mountpoint" && (value == "none" || value == "legacy" || strings.HasPrefix(value, "/")):
			list = append(list, nvpair{prop, value})
			continue
		case prop == "canmount":
			words = []string{"off", "on", "noauto"}
		case slices.Contains(onOff, prop):
			words = []string{"off", "on"}
		}
		i := slices.Index(words, value)
		if i < 0 {
			return nil, false
		}
		list = append(list, nvpair{prop, uint64(i)})
	}
	return list, true
}
