package be

import (
	"cmp"
	"context"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"snapbe/internal/mount"
	"snapbe/internal/zfs"
	"snapbe/zones"
)

// state is what the pool says, read at one moment.
type state struct {
	// root is the BE root container with its properties; bootRoot that of
	// the boot datasets, "" with one pool; grub the dataset of GRUB's
	// directory.
	root     string
	props    zfs.Dataset
	bootRoot string
	grub     string
	// share is the dataset of the share, "" where there is none, shareDirs the
	// directories of /var that are in it.
	share     string
	shareDirs []string
	// shareZone is the zone whose share that is, where ofZone was asked for one.
	shareZone string
	// shareFrom is the UUID of the BE that they are taken from, moved those that
	// were.
	shareFrom string
	moved     []string
	// zoneRoots are the datasets that zones lie in, zonesAbsent those of them
	// that are not there; zones are filled by readZones.
	zoneRoots []string
	// zonesMore are looked at too.
	zonesAbsent []string
	zonesMore   []string
	zones       []zones.Zone
	// bes are sorted by age, oldest first.
	bes []BE
	// mounts is where datasets are mounted for everybody.
	mounts []mount.Mounted
	// taken are the datasets whose names no new BE can have: BEs, and
	// whatever else lies in the containers.
	taken []string
	// twins tells, by name, which BE has the UUID that this one came with.
	twins map[string]string
}

// stateProps are read of every BE: no more than these, since each costs.
var stateProps = []string{
	"creation", "createtxg", "used", "usedbysnapshots", "referenced", "origin",
	"mountpoint", "canmount",
	propUUID, propPolicy, propDescription, propOp, propBooted,
	propDefault, propPrevious, propTrial, propFailed, propJournal, propBootRoot, propGrub,
	propHandover, propSynced, propHad, propPartly, propShare, propShareDirs, propShareFrom, propShared, propZones, zones.PropUpgraded,
}

// rootContainer is the BE root container and the running BE's dataset, which
// is "" where / is not ZFS.
func (m *Manager) rootContainer() (root, running string, err error) {
	running, err = m.sys.Host.Root()
	if err != nil {
		return "", "", err
	}
	if m.sys.Root != "" {
		return m.sys.Root, running, nil
	}
	if running == "" || !strings.Contains(running, "/") {
		return "", "", refuse(Failed, "for those of another pool, name their container, as in -r rpool/ROOT",
			"find the boot environments: / is %s, where a dataset POOL/ROOT/NAME is needed", or(running, "not on ZFS"))
	}
	return path.Dir(running), running, nil
}

// read reads the state: one process, and a second one where boot datasets are
// on a pool of their own.
func (m *Manager) read(ctx context.Context) (*state, error) {
	root, running, err := m.rootContainer()
	if err != nil {
		return nil, err
	}
	all, err := m.sys.ZFS.Get(ctx, zfs.Query{Roots: []string{root}, Depth: 1, Props: stateProps})
	if err != nil {
		if zfs.Is(err, zfs.NotFound) {
			return nil, refuse(NotFound, "name another one with -r", "find the BE root container %q: no such dataset", root)
		}
		return nil, err
	}
	mounts, err := m.sys.Host.Mounts()
	if err != nil {
		return nil, err
	}
	st := &state{root: root, props: all[0], mounts: mounts}
	st.bootRoot = st.props.Local(propBootRoot)
	st.grub = st.props.Local(propGrub)
	st.share = st.props.Local(propShare)
	st.shareDirs = strings.Fields(st.props.Local(propShareDirs))
	st.shareFrom = st.props.Local(propShareFrom)
	st.moved = strings.Fields(st.props.Local(propShared))
	for _, d := range all[1:] {
		st.taken = append(st.taken, d.Name)
		if isBE(d) {
			st.bes = append(st.bes, st.newBE(d, running))
		}
	}
	for i := range st.bes {
		st.bes[i].Space -= shared(st.bes[i].Dataset, all)
	}
	if err := m.readBootDatasets(ctx, st); err != nil {
		return nil, err
	}
	created, sent := map[string]uint64{}, map[string]bool{}
	for _, d := range all {
		created[d.Name] = txg(d)
		sent[d.Name] = d.Props[propUUID].Source == zfs.SourceReceived
	}
	slices.SortFunc(st.bes, func(a, b BE) int {
		return cmp.Or(cmp.Compare(created[a.Dataset], created[b.Dataset]), cmp.Compare(a.Name, b.Name))
	})
	st.disownTwins(sent)
	return st, nil
}

// disownTwins takes a UUID that several BEs have from all but one: a copy that
// was received has that of its source. Such a copy then counts as having none,
// is not in the menu, and is given one of its own when it is activated.
func (st *state) disownTwins(received map[string]bool) {
	owner := map[string]*BE{}
	for i := range st.bes {
		b := &st.bes[i]
		if o := owner[b.UUID]; o == nil || received[o.Dataset] && !received[b.Dataset] {
			owner[b.UUID] = b
		}
	}
	st.twins = map[string]string{}
	for i := range st.bes {
		b := &st.bes[i]
		if o := owner[b.UUID]; b.UUID != "" && o != b {
			st.twins[b.Name] = o.Name
		}
	}
	for i := range st.bes {
		if b := &st.bes[i]; st.twins[b.Name] != "" {
			b.UUID, b.Default, b.Previous, b.Trial, b.Failed = "", false, false, false, nil
			b.synced, b.had, b.partly = "", nil, nil // not of the snapshot that was sent, or of its content now
		}
	}
}

// isBE tells a BE from another dataset that lies in the container.
func isBE(d zfs.Dataset) bool {
	mp := d.Value("mountpoint")
	return d.Kind == zfs.Filesystem && (d.Local(propUUID) != "" || mp == "/" || mp == "legacy")
}

func (st *state) newBE(d zfs.Dataset, running string) BE {
	b := BE{
		Name:        path.Base(d.Name),
		UUID:        d.Local(propUUID),
		Dataset:     d.Name,
		Running:     d.Name == running,
		Space:       number(d.Value("used")),
		Referenced:  number(d.Value("referenced")),
		Created:     time.Unix(int64(number(d.Value("creation"))), 0).UTC(),
		Policy:      cmp.Or(d.Local(propPolicy), "static"),
		Description: d.Local(propDescription),
		Origin:      d.Value("origin"),
		Unfinished:  d.Local(propOp),
		synced:      knownPoint(d.Local(propSynced)),
		had:         parseFacts(d.Local(propHad)),
		partly:      parsePartly(d.Local(propPartly)),
	}
	b.Failed = parseFailure(d.Local(propFailed))
	b.Booted, _ = time.Parse(time.RFC3339, d.Local(propBooted))
	b.Upgraded, _ = time.Parse(time.RFC3339, d.Local(zones.PropUpgraded))
	if b.UUID != "" {
		b.Default = b.UUID == st.props.Local(propDefault)
		b.Previous = b.UUID == st.props.Local(propPrevious)
		t, _ := parseTrial(st.props.Local(propTrial))
		b.Trial = b.UUID == t.UUID
	}
	for _, mnt := range st.mounts {
		if mnt.FSType == "zfs" && mnt.Dataset == d.Name && mnt.Root == "/" {
			b.Mountpoint = mnt.Dir
			break
		}
	}
	return b
}

// shared is the space of a dataset's snapshots where another one of ds was
// cloned from them: destroying it promotes the clone, and they go over to it.
// What lies deeper is not looked at, so for nested datasets it is not known.
func shared(dataset string, ds []zfs.Dataset) uint64 {
	var snapshots uint64
	cloned := false
	for _, d := range ds {
		if d.Name == dataset {
			snapshots = min(number(d.Value("usedbysnapshots")), number(d.Value("used")))
		}
		cloned = cloned || strings.HasPrefix(d.Value("origin"), dataset+"@")
	}
	if !cloned {
		return 0
	}
	return snapshots
}

func (m *Manager) readBootDatasets(ctx context.Context, st *state) error {
	if st.bootRoot == "" {
		return nil
	}
	all, err := m.sys.ZFS.Get(ctx, zfs.Query{Roots: []string{st.bootRoot}, Depth: 1,
		Props: []string{"used", "usedbysnapshots", "origin"}})
	if zfs.Is(err, zfs.NotFound) {
		return refuse(NotFound, "zpool import "+zfs.PoolOf(st.bootRoot)+" where that pool is not there",
			"find the boot datasets: no such dataset as %s", st.bootRoot)
	} else if err != nil {
		return err
	}
	for _, d := range all[1:] {
		st.taken = append(st.taken, d.Name)
	}
	for i := range st.bes {
		b := &st.bes[i]
		for _, d := range all {
			if d.Name == st.bootRoot+"/"+b.Name {
				b.BootDataset = d.Name
				b.Space += number(d.Value("used")) - shared(d.Name, all)
			}
		}
	}
	return nil
}

func number(s string) uint64 {
	n, _ := strconv.ParseUint(s, 10, 64)
	return n
}

// txg is the transaction group that a dataset or snapshot was made in.
func txg(d zfs.Dataset) uint64 { return number(d.Value("createtxg")) }

// find is the BE of that name; for says what it is wanted for, as in
// `activate "x"`.
func (st *state) find(name, what string) (BE, error) {
	i := slices.IndexFunc(st.bes, func(b BE) bool { return b.Name == name })
	if i < 0 {
		return BE{}, refuse(NotFound, "snapbe list shows those that there are", "%s: no boot environment has that name in %s", what, st.root)
	}
	return st.bes[i], nil
}

// usable is find, for a BE that no unfinished operation has in its hands.
func (st *state) usable(name, what string) (BE, error) {
	b, err := st.find(name, what)
	switch {
	case err != nil || b.Unfinished == "":
		return b, err
	case st.props.Local(propJournal) == "":
		return b, refuse(Failed, st.afterUnfinished(b), "%s: it is unfinished, and no record tells of what", what)
	}
	return b, refuse(Pending, st.afterUnfinished(b), "%s: an operation on it was interrupted", what)
}

// afterUnfinished is the way out for an unfinished BE: what was interrupted can
// be recovered from as long as it is on record.
func (st *state) afterUnfinished(b BE) string {
	if st.props.Local(propJournal) != "" {
		return "snapbe recover"
	}
	return "snapbe destroy " + b.Name + " takes it away"
}

// mounted lists where a BE or a part of it is mounted, without what lies below
// another such place.
func (st *state) mounted(b BE) (places []mount.Mounted) {
	var all []mount.Mounted
	for _, mnt := range st.mounts {
		if mnt.FSType == "zfs" && b.has(mnt.Dataset) {
			all = append(all, mnt)
		}
	}
	for _, mnt := range all {
		if !slices.ContainsFunc(all, func(up mount.Mounted) bool { return up.Dir != mnt.Dir && within(mnt.Dir, up.Dir) }) {
			places = append(places, mnt)
		}
	}
	return places
}

// lastAt is what shows at a directory, the last of what was mounted there; its
// Dataset is "" where nothing is.
func lastAt(mounts []mount.Mounted, dir string) (last mount.Mounted) {
	for _, mnt := range mounts {
		if mnt.Dir == dir {
			last = mnt
		}
	}
	return last
}

// refuseMounted refuses what needs the whole BE unmounted; or says what else
// helps.
func (st *state) refuseMounted(b BE, what, or string) error {
	if b.Mountpoint != "" {
		return refuse(Busy, "snapbe unmount "+b.Name+or, "%s: it is mounted at %s", what, b.Mountpoint)
	}
	for _, mnt := range st.mounted(b) {
		return refuse(Busy, "umount "+mnt.Dir+or, "%s: %s is mounted at %s", what, mnt.Dataset, mnt.Dir)
	}
	return nil
}

func (st *state) byUUID(uuid string) (BE, bool) {
	for _, b := range st.bes {
		if uuid != "" && b.UUID == uuid && b.Unfinished == "" {
			return b, true
		}
	}
	return BE{}, false
}

func (st *state) running() (BE, bool) {
	for _, b := range st.bes {
		if b.Running {
			return b, true
		}
	}
	return BE{}, false
}

func (st *state) adopted() bool { return st.props.Local(propDefault) != "" }

// datasets are the root datasets of all BEs.
func (st *state) datasets() (roots []string) {
	for _, b := range st.bes {
		roots = append(roots, b.datasets()...)
	}
	return roots
}

// has tells whether a dataset is the BE's, or that of one of its zone BEs.
func (b BE) has(dataset string) bool {
	return slices.ContainsFunc(b.datasets(), func(root string) bool { return within(dataset, root) }) ||
		slices.ContainsFunc(b.zones, func(z zones.BE) bool { return within(dataset, z.Dataset) })
}

// datasets are the root datasets of a BE, one per pool.
func (b BE) datasets() []string {
	if b.BootDataset == "" {
		return []string{b.Dataset}
	}
	return []string{b.Dataset, b.BootDataset}
}

// pool is the pool of the boot files: the boot pool, or the only one.
func (st *state) pool() string {
	if st.bootRoot != "" {
		return zfs.PoolOf(st.bootRoot)
	}
	return zfs.PoolOf(st.root)
}
