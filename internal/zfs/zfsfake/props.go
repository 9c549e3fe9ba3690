package zfsfake

import (
	"errors"
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"snapbe/internal/zfs"
)

// native is a property of ZFS's own that can be set.
type native struct {
	def       string
	inherited bool
	values    []string
}

var onOff = []string{"on", "off"}

// natives are the defaults of OpenZFS 2.3 (zfsprops(7)).
var natives = map[string]native{
	"acltype":        {def: "off", inherited: true},
	"atime":          {def: "on", inherited: true, values: onOff},
	"canmount":       {def: "on", values: []string{"on", "off", "noauto"}},
	"checksum":       {def: "on", inherited: true},
	"compression":    {def: "on", inherited: true},
	"dnodesize":      {def: "legacy", inherited: true},
	"copies":         {def: "1", inherited: true},
	"devices":        {def: "on", inherited: true, values: onOff},
	"encryptionroot": {def: "-"},
	"exec":           {def: "on", inherited: true, values: onOff},
	"logbias":        {def: "latency", inherited: true},
	"mountpoint":     {inherited: true},
	"overlay":        {def: "on", inherited: true, values: onOff},
	"primarycache":   {def: "all", inherited: true},
	"quota":          {def: "0"},
	"readonly":       {def: "off", inherited: true, values: onOff},
	"recordsize":     {def: "131072", inherited: true},
	"refquota":       {def: "0"},
	"refreservation": {def: "0"},
	"relatime":       {def: "on", inherited: true, values: onOff},
	"reservation":    {def: "0"},
	"secondarycache": {def: "all", inherited: true},
	"setuid":         {def: "on", inherited: true, values: onOff},
	"sharenfs":       {def: "off", inherited: true},
	"sharesmb":       {def: "off", inherited: true},
	"snapdir":        {def: "hidden", inherited: true},
	"sync":           {def: "standard", inherited: true},
	"xattr":          {def: "sa", inherited: true},
}

// onSnapshots are the native properties that a snapshot has.
var onSnapshots = []string{
	"clones", "createtxg", "creation", "defer_destroy", "guid", "logicalreferenced",
	"name", "referenced", "type", "used", "userrefs", "written",
}

// readonly are the native properties that cannot be set.
var readonly = append([]string{
	"available", "compressratio", "logicalused", "mounted", "origin", "refcompressratio",
	"usedbychildren", "usedbydataset", "usedbyrefreservation", "usedbysnapshots",
}, onSnapshots...)

var userProp = regexp.MustCompile(`^[a-z0-9._-]*:[a-z0-9:._-]*$`)

func isUser(prop string) bool {
	return strings.Contains(prop, ":") && userProp.MatchString(prop) && len(prop) < 256 && prop[0] != '-'
}

// get gives a property as "zfs get -p" would; false where there is none.
func (s *state) get(name, prop string) (zfs.Property, bool) {
	if isUser(prop) {
		return s.settable(name, prop, true)
	}
	d := s.Datasets[name]
	none := zfs.Property{Value: "-", Source: zfs.SourceNone}
	if d.Kind == zfs.Snapshot && !slices.Contains(onSnapshots, prop) {
		return none, true
	}
	if d.Kind == zfs.Volume && (prop == "mountpoint" || prop == "canmount" || prop == "mounted") {
		return none, true
	}
	n, ok := natives[prop]
	if !ok {
		return zfs.Property{Value: s.computed(name, prop), Source: zfs.SourceNone}, true
	}
	if prop == "mountpoint" {
		return s.mountpoint(name), true
	}
	if p, ok := s.settable(name, prop, n.inherited); ok {
		return p, true
	}
	return zfs.Property{Value: n.def, Source: zfs.SourceDefault}, true
}

// settable looks a property up where it was set: here or above.
func (s *state) settable(name, prop string, inherited bool) (zfs.Property, bool) {
	d := s.Datasets[name]
	if v, ok := d.Local[prop]; ok {
		return zfs.Property{Value: v, Source: zfs.SourceLocal}, true
	}
	if v, ok := d.Received[prop]; ok {
		return zfs.Property{Value: v, Source: zfs.SourceReceived}, true
	}
	if !inherited {
		return zfs.Property{}, false
	}
	for up := parent(name); up != ""; up = parent(up) {
		d := s.Datasets[up]
		v, ok := d.Local[prop]
		if !ok {
			v, ok = d.Received[prop]
		}
		if ok {
			return zfs.Property{Value: v, Source: up}, true
		}
	}
	return zfs.Property{}, false
}

// mountpoint adds, to one that is inherited, the names in between.
func (s *state) mountpoint(name string) zfs.Property {
	p, ok := s.settable(name, "mountpoint", true)
	switch {
	case !ok:
		return zfs.Property{Value: "/" + name, Source: zfs.SourceDefault}
	case p.Source == zfs.SourceLocal, p.Source == zfs.SourceReceived, p.Value == "none", p.Value == "legacy":
		return p
	}
	p.Value = path.Join(p.Value, strings.TrimPrefix(name, p.Source))
	return p
}

// computed gives the properties that ZFS works out itself.
func (s *state) computed(name, prop string) string {
	d := s.Datasets[name]
	if n, ok := d.Numbers[prop]; ok {
		return strconv.FormatInt(n, 10)
	}
	snapshot := d.Kind == zfs.Snapshot
	switch prop {
	case "name":
		return name
	case "type":
		return string(d.Kind)
	case "creation":
		return strconv.FormatInt(d.Creation, 10)
	case "createtxg":
		return strconv.FormatUint(d.TXG, 10)
	case "guid":
		return strconv.FormatUint(d.GUID, 10)
	case "origin":
		return orDash(d.Origin)
	case "mounted":
		return map[bool]string{true: "yes", false: "no"}[d.Mounted]
	case "compressratio", "refcompressratio":
		return "1.00"
	}
	if !snapshot {
		return s.space(name, prop)
	}
	switch prop {
	case "clones":
		return strings.Join(s.clones(name), ",")
	case "defer_destroy":
		return "off"
	case "userrefs":
		return strconv.Itoa(d.Holds)
	}
	return s.space(name, prop)
}

// small is the space that an empty filesystem takes, in bytes.
const small = 98304

// space gives the numbers of bytes: small everywhere, summed up as ZFS does.
func (s *state) space(name, prop string) string {
	var n int64
	switch prop {
	case "referenced", "logicalreferenced", "usedbydataset":
		n = small
	case "written", "usedbyrefreservation":
	case "available":
		n = 10 << 30
	case "used", "logicalused":
		n = s.used(name)
	case "usedbysnapshots":
		for _, snap := range s.snapshots(name) {
			n += s.used(snap)
		}
	case "usedbychildren":
		for _, b := range s.below(name) {
			if parent(b) == name && s.Datasets[b].Kind != zfs.Snapshot {
				n += s.used(b)
			}
		}
	default:
		return "-"
	}
	return strconv.FormatInt(n, 10)
}

func (s *state) used(name string) int64 {
	d := s.Datasets[name]
	if n, ok := d.Numbers["used"]; ok || d.Kind == zfs.Snapshot {
		return n
	}
	var sum int64
	for _, part := range []string{"usedbydataset", "usedbysnapshots", "usedbychildren", "usedbyrefreservation"} {
		n, _ := strconv.ParseInt(s.computed(name, part), 10, 64)
		sum += n
	}
	return sum
}

// known tells whether ZFS would let the property be asked for.
func known(prop string) bool {
	_, ok := natives[prop]
	return ok || isUser(prop) || slices.Contains(readonly, prop)
}

// checkSet says why ZFS would not set a property, or nil.
func checkSet(kind zfs.Kind, prop, value string) error {
	if isUser(prop) {
		if len(value) >= maxValue {
			return fmt.Errorf("property %q: value is too long", prop)
		}
		return nil
	}
	n, ok := natives[prop]
	switch {
	case slices.Contains(readonly, prop):
		return fmt.Errorf("property %q is read-only", prop)
	case !ok:
		return fmt.Errorf("invalid property %q", prop)
	case kind == zfs.Volume && (prop == "canmount" || prop == "mountpoint"):
		return fmt.Errorf("%q does not apply to datasets of this type", prop)
	case kind == zfs.Snapshot:
		return errors.New("this property can not be modified for snapshots")
	case len(n.values) > 0 && !slices.Contains(n.values, value):
		return fmt.Errorf("property %q must be one of %q", prop, n.values)
	case prop == "mountpoint" && value != "none" && value != "legacy" && !strings.HasPrefix(value, "/"):
		return errors.New(`"mountpoint" must be an absolute path, "none", or "legacy"`)
	}
	return nil
}

// maxValue is the length that a value must stay below, in bytes.
const maxValue = 8192

// locals lists what was set on the dataset itself.
func (d *dataset) locals() []string {
	return slices.Sorted(maps.Keys(func() map[string]string {
		all := maps.Clone(d.Local)
		if all == nil {
			all = map[string]string{}
		}
		maps.Copy(all, d.Received)
		return all
	}()))
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
