package be_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"snapbe/be"
	"snapbe/be/betest"
	"snapbe/internal/zfs"
)

func TestCreateFrom(t *testing.T) {
	for _, c := range []struct{ name, from, motd, origin string }{
		{"the running BE", "", "now", ""},
		{"the running BE by name", "debian", "now", ""},
		{"an inactive BE", "be-2", "second", ""},
		{"a snapshot of the running BE", "debian@early", "early", "rpool/ROOT/debian@early"},
		{"a snapshot of an inactive BE", "be-2@two", "early", "rpool/ROOT/be-2@two"},
	} {
		t.Run(c.name, func(t *testing.T) {
			eachLayout(t, func(t *testing.T, w *betest.World) {
				w.Put("rpool/ROOT/debian", "etc/motd", "early")
				do(t, w, be.Create{Name: "debian@early"})
				do(t, w, be.Create{Name: "be-2"})
				do(t, w, be.Create{Name: "be-2@two"})
				w.Put("rpool/ROOT/debian", "etc/motd", "now")
				w.Put("rpool/ROOT/be-2", "etc/motd", "second")

				assert.Equal(t, "new", do(t, w, be.Create{Name: "new", From: c.from, Description: "a text"}).Name)
				assert.Equal(t, c.motd, w.File("rpool/ROOT/new", "etc/motd"))
				b := named(t, w, "new")
				assert.Equal(t, "a text", b.Description)
				assert.NotEmpty(t, b.UUID)
				assert.NotEqual(t, named(t, w, "debian").UUID, b.UUID)
				assert.Empty(t, b.Unfinished)
				assert.False(t, b.Default || b.Running || b.Previous)
				if c.origin != "" {
					assert.Equal(t, c.origin, b.Origin)
				}
				assert.Contains(t, w.File("rpool/ROOT/new", "etc/fstab"), "rpool/ROOT/new/srv /srv")
				assert.Contains(t, w.Boot.Text(), "BE new")
				m, err := w.Boot.Read()
				require.NoError(t, err)
				assert.Equal(t, named(t, w, "debian").UUID, m.Default, "creating does not activate")
			})
		})
	}
}

func TestCreateRefused(t *testing.T) {
	eachLayout(t, func(t *testing.T, w *betest.World) {
		do(t, w, be.Create{Name: "be-2"})
		do(t, w, be.Create{Name: "debian@mine"})
		create(t, w, "rpool/ROOT/data", zfs.Props{"mountpoint": "none"})
		const chars = "a name begins with a letter or digit and has only letters, digits, and _ . : -"
		long := strings.Repeat("x", 65)
		const list = "snapbe list shows those that there are"
		for _, c := range []struct {
			request be.Create
			want    refusal
		}{
			{be.Create{Name: "a b"}, refusal{be.Invalid, `create "a b": ` + chars, ""}},
			{be.Create{Name: "a%b"}, refusal{be.Invalid, `create "a%b": ` + chars, ""}},
			{be.Create{Name: "a/b"}, refusal{be.Invalid, `create "a/b": ` + chars, ""}},
			{be.Create{Name: "a+b"}, refusal{be.Invalid, `create "a+b": ` + chars, ""}},
			{be.Create{Name: "-a"}, refusal{be.Invalid, `create "-a": ` + chars, ""}},
			{be.Create{Name: ".."}, refusal{be.Invalid, `create "..": ` + chars, ""}},
			{be.Create{Name: "größe"}, refusal{be.Invalid, `create "größe": ` + chars, ""}},
			{be.Create{Name: "a\nb"}, refusal{be.Invalid, `create "a\nb": ` + chars, ""}},
			{be.Create{Name: "a\n"}, refusal{be.Invalid, `create "a\n": ` + chars, ""}},
			{be.Create{Name: "a'b"}, refusal{be.Invalid, `create "a'b": ` + chars, ""}},
			{be.Create{Name: "$(x)"}, refusal{be.Invalid, `create "$(x)": ` + chars, ""}},
			{be.Create{Name: long}, refusal{be.Invalid, `create "` + long + `": the name has 65 characters, 64 are allowed`, ""}},
			{be.Create{Name: "be-2"}, refusal{be.Exists, `create "be-2": the dataset rpool/ROOT/be-2 exists`,
				"take another name, or snapbe destroy be-2 first"}},
			{be.Create{Name: "data"}, refusal{be.Exists, `create "data": the dataset rpool/ROOT/data exists`,
				"take another name, or zfs destroy rpool/ROOT/data if nothing needs it"}},
			{be.Create{Name: "new", From: "none"}, refusal{be.NotFound,
				`create "new" from "none": no boot environment has that name in rpool/ROOT`, list}},
			{be.Create{Name: "new", From: "debian@none"}, refusal{be.NotFound,
				`create "new": rpool/ROOT/debian has no snapshot "none"`, "snapbe list -s debian shows the snapshots that there are"}},
			{be.Create{Name: "new", From: "debian@"}, refusal{be.Invalid,
				`create "new" from "debian@": the snapshot's name is empty`, "name it as BE@SNAP"}},
			{be.Create{Name: "new", From: "data"}, refusal{be.NotFound,
				`create "new" from "data": no boot environment has that name in rpool/ROOT`, list}},
			{be.Create{Name: "new", Description: strings.Repeat("x", 1025)}, refusal{be.Invalid,
				`create "new": a description has at most 1024 bytes, and no NUL`, ""}},
			{be.Create{Name: "new", Description: "a\x00b"}, refusal{be.Invalid,
				`create "new": a description has at most 1024 bytes, and no NUL`, ""}},
			{be.Create{Name: "new", Props: map[string]string{"canmount": "on"}}, refusal{be.Invalid,
				`create "new": the property canmount is snapbe's own to set`, ""}},
			{be.Create{Name: "new", Props: map[string]string{"mountpoint": "/x"}}, refusal{be.Invalid,
				`create "new": the property mountpoint is snapbe's own to set`, ""}},
			{be.Create{Name: "new", Props: map[string]string{"org.snapbe:op": "x"}}, refusal{be.Invalid,
				`create "new": the property org.snapbe:op is snapbe's own to set`, ""}},
			{be.Create{Name: "new", Props: map[string]string{"org.opensolaris.libbe:uuid": "x"}}, refusal{be.Invalid,
				`create "new": the property org.opensolaris.libbe:uuid is snapbe's own to set`, ""}},
			{be.Create{Name: "new", Props: map[string]string{"encryption": "on"}}, refusal{be.Invalid,
				`create "new": the property encryption is the source's, and cannot be set on a clone`, ""}},

			{be.Create{Name: "none@x"}, refusal{be.NotFound,
				`create "none@x": no boot environment has that name in rpool/ROOT`, list}},
			{be.Create{Name: "debian@"}, refusal{be.Invalid, `create "debian@": snapshot "": the name is empty`, ""}},
			{be.Create{Name: "debian@a@b"}, refusal{be.Invalid, `create "debian@a@b": snapshot "a@b": ` + chars, ""}},
			{be.Create{Name: "debian@x", Description: "x"}, refusal{be.Invalid,
				`create "debian@x": a snapshot takes no source, description, properties or activation`, ""}},
		} {
			t.Run(c.want.text, func(t *testing.T) { refused(t, w, c.request, c.want) })
		}
	})
}

func TestCreateWhereOnlyTheBootDatasetIsTaken(t *testing.T) {
	w := split(t)
	create(t, w, "bpool/BOOT/be-2", zfs.Props{"mountpoint": "none"})
	refused(t, w, be.Create{Name: "be-2"}, refusal{be.Exists, `create "be-2": the dataset bpool/BOOT/be-2 exists`,
		"take another name, or zfs destroy bpool/BOOT/be-2 if nothing needs it"})
	create(t, w, "bpool/BOOT/debian-1", zfs.Props{"mountpoint": "none"})
	assert.Equal(t, "debian-2", do(t, w, be.Create{}).Name, "the next name is free in both pools")
}

// Names that ZFS would refuse half-way are refused before.
func TestCreateTooLong(t *testing.T) {
	deep := strings.Repeat("d", 200)
	w := onePool(t, deep)
	refused(t, w, be.Create{Name: strings.Repeat("n", 64)}, refusal{be.Invalid,
		`create "` + strings.Repeat("n", 64) + `": the dataset names below it would be longer than the 255 bytes of ZFS`,
		"take a shorter name"})
	do(t, w, be.Create{Name: "n"})
	refused(t, w, be.Create{Name: "n@" + strings.Repeat("s", 64)}, refusal{be.Invalid,
		`create "n@` + strings.Repeat("s", 64) + `": the dataset names below it would be longer than the 255 bytes of ZFS`,
		"take a shorter name"})
}

func TestCreateLongestName(t *testing.T) {
	eachLayout(t, func(t *testing.T, w *betest.World) {
		name := strings.Repeat("n", 64)
		assert.Equal(t, name, do(t, w, be.Create{Name: name}).Name)
		do(t, w, be.Activate{Name: name})
		require.NoError(t, w.Reboot())
	})
}

func TestAutoName(t *testing.T) {
	for _, c := range []struct {
		name string
		have []string
		from string
		want string
	}{
		{"the first", nil, "", "debian-1"},
		{"the highest and one", []string{"debian-1", "debian-7", "debian-3"}, "", "debian-8"},
		{"a gap is not filled", []string{"debian-2"}, "", "debian-3"},
		{"from one with a number", []string{"debian-2"}, "debian-2", "debian-3"},
		{"of another base", []string{"web-9"}, "", "debian-1"},
		{"from another base", []string{"web-9"}, "web-9", "web-10"},
		{"months", []string{"2026-11"}, "2026-11", "2026-12"},
		{"months with a zero", []string{"2027-01", "2027-08"}, "2027-08", "2027-09"},
		{"months past nine", []string{"2027-09"}, "2027-09", "2027-10"},
		{"a name that ends in a dash", []string{"x-"}, "x-", "x--1"},
		{"from a snapshot", nil, "debian@mine", "debian-1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := onePool(t)
			for _, h := range c.have {
				do(t, w, be.Create{Name: h})
			}
			do(t, w, be.Create{Name: "debian@mine"})
			assert.Equal(t, c.want, do(t, w, be.Create{From: c.from}).Name)
		})
	}
	t.Run("what is no BE takes a name too", func(t *testing.T) {
		w := onePool(t)
		create(t, w, "rpool/ROOT/debian-4", zfs.Props{"mountpoint": "none"})
		assert.Equal(t, "debian-5", do(t, w, be.Create{}).Name)
	})
}

// Values as only users think of them.
var oddValues = map[string]string{
	"com.example:space":   "a value with  two spaces ",
	"com.example:quote":   `it's "quoted" \ $HOME ; }`,
	"com.example:newline": "two\nlines",
	"com.example:tab":     "a\tb",
	"com.example:utf-8":   "größe 日本",
	"com.example:empty":   "",
	"com.example:equals":  "a=b=c",
	"com.example:dash":    "-",
}

// What is local in the source is local in the clone, what is inherited stays
// so, and nothing mounts by itself.
func TestCreateCopiesProperties(t *testing.T) {
	eachLayout(t, func(t *testing.T, w *betest.World) {
		const src, dst = "rpool/ROOT/debian", "rpool/ROOT/new"
		set(t, w, src, zfs.Props{"compression": "zstd", "quota": "1073741824"})
		set(t, w, src+"/opt", zfs.Props{"atime": "off", "recordsize": "16384"})
		set(t, w, src+"/opt", oddValues)
		set(t, w, "rpool/ROOT", zfs.Props{"com.example:above": "x"})
		w.ZFS.SetReceived(src+"/opt", "com.example:received", "from afar")
		create(t, w, src+"/srv", zfs.Props{"mountpoint": "/srv", "canmount": "off"})
		create(t, w, src+"/srv/www", nil)
		create(t, w, src+"/old", zfs.Props{"mountpoint": "none"})
		create(t, w, src+"/legacy", zfs.Props{"mountpoint": "legacy"})
		require.NoError(t, w.ZFS.CreateVolume(src+"/swap", zfs.Props{"com.example:vol": "v"}))
		set(t, w, src, zfs.Props{"org.snapbe:description": "of the source", "org.snapbe:booted": "2026-11-20T12:00:00Z",
			"org.opensolaris.libbe:policy": "volatile"})

		do(t, w, be.Create{Name: "new", Props: map[string]string{"atime": "off", "com.example:o": "a b"}})

		for dataset, want := range map[string]zfs.Props{
			dst: {"canmount": "noauto", "mountpoint": "/", "compression": "zstd", "quota": "1073741824", "atime": "off",
				"com.example:o": "a b", "org.opensolaris.libbe:policy": "static", "org.opensolaris.libbe:uuid": named(t, w, "new").UUID},
			dst + "/srv":     {"mountpoint": "/srv", "canmount": "off"},
			dst + "/srv/www": {"canmount": "noauto"},
			dst + "/old":     {"canmount": "noauto", "mountpoint": "none"},
			dst + "/legacy":  {"canmount": "noauto", "mountpoint": "legacy"},
			dst + "/swap":    {"com.example:vol": "v"},
		} {
			assert.Equal(t, map[string]string(want), w.ZFS.Locals(dataset), dataset)
		}
		opt := w.ZFS.Locals(dst + "/opt")
		for p, v := range oddValues {
			got, ok := opt[p]
			assert.True(t, ok && got == v, "%s is %q, not %q", p, got, v)
		}
		assert.Equal(t, "from afar", opt["com.example:received"])
		got := props(t, w, dst+"/opt", "compression", "com.example:above", "mountpoint")
		assert.Equal(t, zfs.Property{Value: "zstd", Source: dst}, got["compression"])
		assert.Equal(t, zfs.Property{Value: "x", Source: "rpool/ROOT"}, got["com.example:above"])
		assert.Equal(t, zfs.Property{Value: "/opt", Source: dst}, got["mountpoint"])
		kind := list(t, w, be.ListOptions{Name: "new", Datasets: true})[0]
		assert.GreaterOrEqual(t, len(kind.Datasets), 7)
	})
}

func TestCreateProperty(t *testing.T) {
	w := onePool(t, "opt")
	undone(t, w, be.Create{Name: "new", Props: map[string]string{"nonsense": "x"}}, refusal{be.Failed,
		`create "new": zfs clone "rpool/ROOT/new": invalid property "nonsense"`, ""})
}

func TestCreateTwoInOneSecond(t *testing.T) {
	eachLayout(t, func(t *testing.T, w *betest.World) {
		sys := w.System()
		now, n := sys.Now(), 0
		sys.Now = func() time.Time { n++; return now.Add(time.Duration(n) * time.Millisecond) }
		for _, name := range []string{"be-2", "be-3", "be-4"} {
			_, err := be.New(sys).Do(t.Context(), be.Create{Name: name}, be.Options{})
			require.NoError(t, err)
			w.ZFS.SetCreation("rpool/ROOT/"+name, now.Unix())
		}
		assert.Equal(t, []string{"debian", "be-2", "be-3", "be-4"}, names(t, w))
	})
}

func TestCreateWithoutKernel(t *testing.T) {
	for _, gone := range []string{"vmlinuz-6.12.1-amd64", "initrd.img-6.12.1-amd64"} {
		t.Run(gone, func(t *testing.T) {
			eachLayout(t, func(t *testing.T, w *betest.World) {
				do(t, w, be.Create{Name: "be-2"})
				removeKernel(t, w, "be-2", gone)
				before := w.Capture()
				_, err := try(t, w, be.Create{Name: "new", From: "be-2"})
				require.ErrorContains(t, err, `create "new": the source cannot boot: no `)
				same(t, before, w.Capture())
			})
		})
	}
}

// A snapshot that not all nested datasets have makes a BE without those, and
// says so; one with a hole in it is refused.
func TestCreateFromPartOfASnapshot(t *testing.T) {
	w := onePool(t, "var", "var/lib")
	do(t, w, be.Create{Name: "debian@mine"})
	create(t, w, "rpool/ROOT/debian/late", nil)
	res := do(t, w, be.Create{Name: "new", From: "debian@mine"})
	assert.Contains(t, res.Plan.Notes, `left out: rpool/ROOT/debian/late has no snapshot "mine"`)
	assert.False(t, exists(w, "rpool/ROOT/new/late"))

	snapshot(t, w, "rpool/ROOT/debian@hole", "rpool/ROOT/debian/var/lib@hole")
	refused(t, w, be.Create{Name: "new2", From: "debian@hole"}, refusal{be.Failed,
		`create "new2": rpool/ROOT/debian/var/lib@hole is there, but not rpool/ROOT/debian/var@hole above it`, ""})
}

// Names of snapshots that other tools make are good enough to start from.
func TestCreateFromSnapshotOfAnotherTool(t *testing.T) {
	w := onePool(t)
	for i, snap := range []string{"zfs-auto-snap_monthly-2026-11-20-1200", "before the upgrade", strings.Repeat("s", 100)} {
		snapshot(t, w, "rpool/ROOT/debian@"+snap)
		do(t, w, be.Create{Name: "be-" + string(rune('a'+i)), From: "debian@" + snap})
	}
}

func TestCreateSnapshotTwice(t *testing.T) {
	w := onePool(t, "opt")
	snapshot(t, w, "rpool/ROOT/debian/opt@mine")
	refused(t, w, be.Create{Name: "debian@mine"}, refusal{be.Exists, `create "debian@mine": rpool/ROOT/debian/opt@mine exists`,
		"take another name, or snapbe destroy debian@mine first"})
}

func TestCreateSnapshot(t *testing.T) {
	eachLayout(t, func(t *testing.T, w *betest.World) {
		assert.Equal(t, "debian@mine", do(t, w, be.Create{Name: "debian@mine"}).Name)
		for _, b := range list(t, w, be.ListOptions{Snapshots: true, Datasets: true}) {
			assert.Len(t, b.Snapshots, len(b.Datasets))
			for _, s := range b.Snapshots {
				assert.False(t, s.Own, "%s is the user's", s.Name)
				assert.Empty(t, w.ZFS.Locals(s.Name))
			}
		}
	})
}

func TestCreateAndActivate(t *testing.T) {
	eachLayout(t, func(t *testing.T, w *betest.World) {
		do(t, w, be.Create{Name: "new", Activate: true})
		assert.True(t, named(t, w, "new").Default)
		require.NoError(t, w.Reboot())
		assert.Equal(t, "rpool/ROOT/new", w.Host.Running)
	})
}

func TestCreateWithHostileDescription(t *testing.T) {
	eachLayout(t, func(t *testing.T, w *betest.World) {
		const text = "it's \"the\" $one; }\nmenuentry 'evil' {\n} größe"
		do(t, w, be.Create{Name: "new", Description: text})
		assert.Equal(t, text, named(t, w, "new").Description)
		assert.NotContains(t, w.Boot.Text(), "\nmenuentry 'evil'")
		_, err := w.Boots()
		require.NoError(t, err)
	})
}

// Something of that name appears between plan and run: it stays.
func TestCreateRace(t *testing.T) {
	for _, dataset := range []string{"rpool/ROOT/new", "bpool/BOOT/new"} {
		t.Run(dataset, func(t *testing.T) {
			w := split(t, "opt")
			var before []string
			_, err := be.New(w.System()).Do(t.Context(), be.Create{Name: "new"}, be.Options{Announce: func(be.Plan) {
				create(t, w, dataset, zfs.Props{"mountpoint": "none"})
				w.Put(dataset, "mine", "text")
				before = w.Capture()
			}})
			require.ErrorContains(t, err, `create "new": zfs clone "`+dataset+`": dataset already exists`)
			same(t, before, w.Capture())
		})
	}
}

// A clone that the user made of the user's own snapshot, meanwhile or after the
// power was cut, is not taken for one of snapbe's that lacks its mark.
func TestCreateLeavesTheUsersCloneAlone(t *testing.T) {
	arrange := func() *betest.World {
		w := onePool(t)
		do(t, w, be.Create{Name: "debian@mine"})
		return w
	}
	byHand := func(w *betest.World) {
		clone(t, w, "rpool/ROOT/debian@mine", "rpool/ROOT/new")
		w.Put("rpool/ROOT/new", "precious", "by hand")
		w.ZFS.SetNumber("rpool/ROOT/new", "written", 4096)
	}
	r := be.Create{Name: "new", From: "debian@mine"}
	t.Run("meanwhile", func(t *testing.T) {
		w := arrange()
		_, err := be.New(w.System()).Do(t.Context(), r, be.Options{Announce: func(be.Plan) { byHand(w) }})
		require.ErrorContains(t, err, "already exists")
		assert.Equal(t, "by hand", w.File("rpool/ROOT/new", "precious"))
	})
	t.Run("after the cut", func(t *testing.T) {
		w := arrange()
		require.True(t, cut(t, w, r, 2))
		require.False(t, exists(w, "rpool/ROOT/new"))
		byHand(w)
		do(t, w, be.Recover{})
		assert.Equal(t, "by hand", w.File("rpool/ROOT/new", "precious"))
	})
}
