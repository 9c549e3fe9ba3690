package be_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"snapbe/be"
	"snapbe/be/betest"
	"snapbe/internal/zfs"
)

// halfHandover has bob come to be-2 by a handover that then fails; be-2 runs.
func halfHandover(t *testing.T) *betest.World {
	t.Helper()
	w := onePool(t)
	accounts(w)
	do(t, w, be.Create{Name: "be-2"})
	do(t, w, be.Activate{Name: "be-2"})
	putAccounts(w, "debian", withBob, withBobS)
	w.Put("rpool/ROOT/debian", "etc/adjtime", "two\n")
	require.NoError(t, w.Start())
	at := full(w, 0, "adjtime")
	_, err := try(t, w, be.Handover{Boot: true})
	require.Error(t, err)
	require.NotEmpty(t, *at)
	w.Reset()
	require.Contains(t, w.File("rpool/ROOT/be-2", "etc/passwd"), "bob:")
	return w
}

// A snapshot of a BE that has a handover in part, and a rollback to it.
func TestRollbackToAHalfHandover(t *testing.T) {
	for _, own := range []bool{true, false} {
		for _, later := range []bool{false, true} {
			t.Run(fmt.Sprintf("own %v, handed over later %v", own, later), func(t *testing.T) {
				w := halfHandover(t)
				if own {
					do(t, w, be.Create{Name: "be-2@good"})
				} else {
					snapshot(t, w, "rpool/ROOT/be-2@good")
				}
				if later {
					do(t, w, be.Handover{})
					do(t, w, be.Activate{Name: "debian"})
				}
				picked(w, "debian")
				_, err := early(t, w)
				require.NoError(t, err)
				putAccounts(w, "debian", passwd, shadow)
				do(t, w, be.Activate{Name: "debian"})
				do(t, w, be.Rollback{Name: "be-2@good", Newer: true})
				require.Contains(t, w.File("rpool/ROOT/be-2", "etc/passwd"), "bob:")
				into(t, w, "be-2")
				noBob(t, w, "be-2")
			})
		}
	}
}

// A zone that a first handover has failed in, whose policy is another one in the BE
// that boots: it is handed over when that is mended.
func TestPolicyOfAHalfHandover(t *testing.T) {
	pin := map[string]be.ZonePolicy{"web": be.ZonePinned}
	w := onePool(t)
	syncedZones(t, w)
	do(t, w, be.Activate{Name: "be-2"})
	w.Put(webRoot+"zbe", "etc/shadow", strings.Replace(locked, "root:", "root:!", 1))
	list := w.File(webRoot+"zbe", "etc/snapbe/synclist")
	w.Put(webRoot+"zbe", "etc/snapbe/synclist", "nonsense\n")
	require.NoError(t, w.Start())
	sys := w.System()
	sys.ZonePolicy = pin
	res, err := be.New(sys).Do(t.Context(), be.Handover{Boot: true}, be.Options{})
	require.NoError(t, err)
	require.Contains(t, strings.Join(res.Notes, "\n"), `read /etc/snapbe/synclist of the zone "web"`)
	w.Put(webRoot+"zbe", "etc/snapbe/synclist", list)
	policies(t, w, pin, be.Handover{})
	assert.Contains(t, w.File(webRoot+"zbe-1", "etc/shadow"), "root:!")
}

// What an activation records fits, with the longest names that create takes.
func TestRecordsFit(t *testing.T) {
	for _, n := range []int{40, 64} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			w := betest.New(t.TempDir(), betest.Layout{Split: true})
			accounts(w)
			shared(t, w)
			a, b := strings.Repeat("a", n), strings.Repeat("b", n)
			do(t, w, be.Create{Name: a})
			into(t, w, a)
			do(t, w, be.Create{Name: b})
			do(t, w, be.ShareSnapshot{Name: strings.Repeat("s", 40)})
			do(t, w, be.Activate{Name: b})
			do(t, w, be.Activate{Name: a})
			into(t, w, b)
			do(t, w, be.Failback{Share: strings.Repeat("s", 40)})
			require.NoError(t, w.Reboot())
		})
	}
}

// Properties that anyone may have sent.
func TestOddProperties(t *testing.T) {
	for name, value := range map[string]string{
		"garbage":      "\x01\xff,, ,a b c,\n,-",
		"commas":       strings.Repeat(",", 8000),
		"no such UUID": strings.Repeat("ffffffff-ffff-4fff-8fff-ffffffffffff sync-x,", 180),
		"itself":       "",
		"many":         "many",
	} {
		for _, prop := range []string{"org.snapbe:partly", "org.snapbe:had", "org.snapbe:synced"} {
			t.Run(name+" "+prop, func(t *testing.T) {
				w := onePool(t)
				accounts(w)
				do(t, w, be.Create{Name: "be-2"})
				setAnn(w, "debian", pwA)
				do(t, w, be.Sync{Name: "be-2"})
				v := value
				switch name {
				case "itself":
					v = named(t, w, "be-2").UUID + " " + strings.SplitN(w.ZFS.Names()[0], "@", 2)[0]
				case "many":
					p := props(t, w, "rpool/ROOT/be-2", "org.snapbe:synced")["org.snapbe:synced"].Value
					_, snap, _ := strings.Cut(p, " ")
					set(t, w, "rpool/ROOT/be-2", map[string]string{"org.snapbe:synced": "", "org.snapbe:had": ""})
					require.NotEmpty(t, snap)
					v = strings.Repeat(p+",", 8000/(len(p)+1))
				}
				set(t, w, "rpool/ROOT/be-2", map[string]string{prop: v})
				setAnn(w, "debian", lockA)
				do(t, w, be.Sync{Name: "be-2"})
				assert.Equal(t, lockA, annOf(w, "be-2"))
				setAnn(w, "debian", lockB)
				into(t, w, "be-2")
				assert.Equal(t, lockB, annOf(w, "be-2"))
			})
		}
	}
}

// TestVersionsWhereHandoversFail is TestAnyVersions with handovers that fail at any change.
func TestVersionsWhereHandoversFail(t *testing.T) {
	versions(t, false, 0, func(v *vv) (wrong string, over bool) {
		switch {
		case v.to != "" && v.to == v.run():
			return v.stuck()
		case v.to != "" && v.r.Intn(3) == 0:
			return v.failing()
		}
		return v.step()
	})
}

// stuck goes on in a BE in which a handover has failed.
func (v *vv) stuck() (wrong string, over bool) {
	switch v.r.Intn(6) {
	case 0:
		over = v.synced(v.from, v.to)
		v.from, v.to = "", ""
		res := do(v.t, v.w, be.Handover{})
		v.hear(res)
		v.say("handover by hand")
		return v.wrong(v.run()), over
	case 1, 2:
		names := slices.DeleteFunc(slices.Sorted(maps.Keys(v.bes)), func(n string) bool { return n == v.run() })
		other := names[v.r.Intn(len(names))]
		picked(v.w, other)
		v.say("picked %s", other)
		_, err := early(v.t, v.w)
		require.NoError(v.t, err)
		return v.wrong(other), false
	case 3:
		v.change(v.run())
	case 4:
		s := fmt.Sprintf("s%d", len(v.trace))
		if v.r.Intn(2) == 0 {
			s = "hourly" + s
			snapshot(v.t, v.w, "rpool/ROOT/"+v.run()+"@"+s)
		} else {
			do(v.t, v.w, be.Create{Name: v.run() + "@" + s})
		}
		v.say("snapshot %s@%s", v.run(), s)
		v.snaps[v.run()][s] = v.bes[v.run()].clone()
		v.order[v.run()] = append(v.order[v.run()], s)
	default:
		return v.failing()
	}
	return "", false
}

// failing boots the one that is activated, and the handover fails.
func (v *vv) failing() (wrong string, over bool) {
	require.NoError(v.t, v.w.Start())
	if v.run() != v.to {
		v.say("reboot into %s, for which nothing is left", v.run())
		_, err := early(v.t, v.w)
		require.NoError(v.t, err)
		return "", false
	}
	at := full(v.w, 1+v.r.Intn(25), "")
	res, err := try(v.t, v.w, be.Handover{Boot: true})
	v.w.Reset()
	if err == nil && !waiting(v.t, v.w) {
		over = v.synced(v.from, v.to)
		v.from, v.to = "", ""
		do(v.t, v.w, be.Recover{})
		v.hear(res)
		v.say("reboot into %s, done", v.run())
		return v.wrong(v.run()), over
	}
	_, _ = try(v.t, v.w, be.Recover{})
	has := v.read(v.to)
	v.say("reboot into %s, fails at %s: %v; has %v", v.run(), *at, err, has)
	if !waiting(v.t, v.w) {
		over = v.synced(v.from, v.to)
		v.from, v.to = "", ""
		return v.wrong(v.run()), over
	}
	s, t := v.bes[v.from], v.bes[v.to]
	for k := range s {
		switch {
		case has[k] == t[k].val && has[k] != s[k].val:
		case has[k] == s[k].val && sub(t[k].knows, s[k].knows):
			t[k] = s[k]
		case has[k] == t[k].val:
		default:
			over = true
		}
	}
	return "", over
}

// A handover fails at each of its changes, in the host or in the zone, and what it was
// about is undone in the old BE: that arrives in the zone.
func TestZoneFailsAnywhere(t *testing.T) {
	failed, left := 0, 0
	for n := 1; ; n++ {
		w := onePool(t)
		syncedZones(t, w)
		w.Put(webRoot+"zbe", "etc/shadow", shadow)
		do(t, w, be.Activate{Name: "be-2"})
		setWebAnn(w, webRoot+"zbe", pwA)
		w.Put(webRoot+"zbe", "etc/passwd", passwd+passwdBob)
		w.Put(webRoot+"zbe", "etc/motd", "two\n")
		require.NoError(t, w.Start())
		at := full(w, n, "")
		_, err := try(t, w, be.Handover{Boot: true})
		w.Reset()
		if *at == "" {
			break
		}
		if !waiting(t, w) {
			continue
		}
		if err == nil { // in zones alone
			if !strings.Contains(props(t, w, "rpool/ROOT", "org.snapbe:handover")["org.snapbe:handover"].Value, "rpool/zones/web") {
				assert.Equal(t, "two\n", w.File(webRoot+"zbe-1", "etc/motd"), "change %d, %s: this one is done", n, *at)
				continue
			}
			left++
		}
		failed++
		picked(w, "debian")
		_, err = early(t, w)
		require.NoError(t, err)
		w.Put(webRoot+"zbe", "etc/shadow", locked)
		w.Put(webRoot+"zbe", "etc/passwd", passwd)
		w.Put(webRoot+"zbe", "etc/motd", "three\n")
		require.NoError(t, w.Reboot())
		require.Equal(t, "rpool/ROOT/be-2", w.Host.Running)
		assert.True(t, strings.HasPrefix(webAnn(w, webRoot+"zbe-1"), "!"), "change %d, %s: ann is %s", n, *at, webAnn(w, webRoot+"zbe-1"))
		assert.NotContains(t, w.File(webRoot+"zbe-1", "etc/passwd"), "bob:", "change %d, %s", n, *at)
		assert.Equal(t, "three\n", w.File(webRoot+"zbe-1", "etc/motd"), "change %d, %s", n, *at)
	}
	assert.Greater(t, failed, 5)
	assert.Positive(t, left)
}

// largest notes how many changes were made at once.
type largest struct {
	zfs.ZFS
	n int
}

func (z *largest) Set(ctx context.Context, c []zfs.Change) error {
	z.n = max(z.n, len(c))
	return z.ZFS.Set(ctx, c)
}

// Thousands of snapshots of another tool are told what one of snapbe's told that goes:
// no program takes that as arguments at once.
func TestThousandsAreTold(t *testing.T) {
	w := onePool(t)
	accounts(w)
	do(t, w, be.Create{Name: "be-2"})
	putAccounts(w, "debian", withBob, withBobS)
	do(t, w, be.Sync{Name: "be-2"})
	do(t, w, be.Create{Name: "be-2@good"})
	var names []string
	for i := range 1200 {
		names = append(names, fmt.Sprintf("rpool/ROOT/be-2@hourly%d", i))
	}
	snapshot(t, w, names...)
	sys := w.System()
	z := &largest{ZFS: sys.ZFS}
	sys.ZFS = z
	_, err := be.New(sys).Do(t.Context(), be.Destroy{Name: "be-2@good"}, be.Options{})
	require.NoError(t, err)
	assert.LessOrEqual(t, z.n, 1000)
	for _, name := range []string{names[0], names[len(names)-1]} {
		assert.NotEmpty(t, props(t, w, name, "org.snapbe:had")["org.snapbe:had"].Value)
	}
}
