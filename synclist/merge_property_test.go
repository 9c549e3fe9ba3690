package synclist

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// files is a tree: names ending with "/" are directories, content beginning
// with "-> " makes a symlink, "= " a hard link, and a name may end with "@MODE".
type files map[string]string

// The hashes of the tests; sentinel is in all of them.
const (
	sentinel   = "SECRET"
	h0, h1, h2 = "$6$" + sentinel + "0", "$6$" + sentinel + "1", "$6$" + sentinel + "2"
)

// mergeText merges the files of a directory, without any disk.
func mergeText(t testing.TB, base, src, tgt, origin files) (files, []Record, bool) {
	t.Helper()
	return mergeSides(t, false, base, src, tgt, origin, nil)
}

// mergeBlind is mergeText that may be without a base, and then take what differs
// from the source.
func mergeBlind(t testing.TB, taking bool, src, tgt files) (files, []Record, bool) {
	t.Helper()
	return mergeSides(t, taking, nil, src, tgt, nil, nil)
}

func mergeSides(t testing.TB, taking bool, base, src, tgt, origin, was files) (files, []Record, bool) {
	t.Helper()
	all := accounts{}
	for name := range tgt {
		m := &merger{format: formats[name], blind: base == nil, taking: base == nil && taking}
		for _, at := range []struct {
			from files
			into **table
		}{{base, &m.base}, {src, &m.src}, {tgt, &m.tgt}, {origin, &m.origin}, {was, &m.was}} {
			*at.into = parseTable(m.format, []byte(at.from[name]))
		}
		if origin == nil {
			m.origin = nil
		}
		if was == nil {
			m.was = nil
		}
		all[name] = m
	}
	edits := all.merge()
	out := files{}
	var records []Record
	for name, m := range all {
		out[name] = string(m.tgt.render(edits[name]))
		records = append(records, edits[name].records...)
	}
	return out, records, true
}

// model is a plain second reading of the rules, for one shadow file: keys to
// fields, and no order.
type model map[string][]string

func parseModel(text string) model {
	m := model{}
	for line := range strings.FieldsSeq(text) {
		f := strings.Split(line, ":")
		m[f[0]] = f
	}
	return m
}

func isLocked(pw string) bool { return pw != "" && (pw[0] == '!' || pw[0] == '*') }

func modelMerge(base, src, tgt, origin, was model) model {
	out := model{}
	keys := map[string]bool{}
	for _, m := range []model{base, src, tgt} {
		for k := range m {
			keys[k] = true
		}
	}
	for k := range keys {
		b, s, t := base[k], src[k], tgt[k]
		if origin != nil && t == nil && origin[k] == nil && was == nil {
			b = nil
		}
		if t == nil && b == nil {
			b = was[k]
		}
		switch {
		case s == nil && t == nil:
		case t == nil && b == nil:
			out[k] = s
		case t == nil: // removed in the target
		case s == nil && b != nil && slices.Equal(b, t): // removed in the source
		case s == nil && slices.Equal(origin[k], t) && (was == nil && b != nil || slices.Equal(was[k], t)): // removed before the last sync
		case s == nil:
			out[k] = t
		default:
			out[k] = modelFields(b, s, t, origin[k], was[k])
		}
	}
	return out
}

func modelFields(b, s, t, o, w []string) []string {
	out := slices.Clone(t)
	// The target is as it was of old, and nothing is opened on a guess.
	old := func(i int, t string) bool {
		opens := i == 1 && isLocked(t) && !isLocked(s[i]) || i == 7 && !earlier(s[i], t)
		return o != nil && t == o[i] && (w != nil && t == w[i] || w == nil && !opens)
	}
	past := func(i int, t string) string {
		switch {
		case old(i, t):
			return o[i]
		case b == nil:
			return "none"
		}
		return b[i]
	}
	pw := past(1, t[1])
	was := func(i int) string {
		switch {
		case i == 1:
			return pw
		case i == 2 && s[1] != t[1] && old(1, t[1]):
			return o[2]
		case i == 2 && s[1] != t[1] && b != nil:
			return b[2]
		case i == 2 && s[1] != t[1]:
			return "none"
		}
		return past(i, t[i])
	}
	left := func(i int) bool { return b != nil && w != nil && s[i] == b[i] && (o == nil || s[i] != o[i]) }
	// Password and date as one, then the rest.
	sPw, tPw := s[1] != was(1), t[1] != was(1)
	if w != nil && !isLocked(w[1]) {
		sPw = sPw || isLocked(s[1]) && !isLocked(t[1]) && left(1)
		tPw = tPw || isLocked(t[1]) && !isLocked(s[1])
	}
	switch {
	case s[1] == t[1]:
		if t[2] == was(2) {
			out[2] = s[2]
		}
	case sPw && !tPw:
		out[1], out[2] = s[1], s[2]
	case sPw && tPw && isLocked(s[1]) && !isLocked(t[1]):
		out[1] = "!" + t[1]
		switch {
		case out[1] == s[1] && t[2] != past(2, t[2]):
		case out[1] == s[1], out[1] == past(1, out[1]):
			out[1], out[2] = s[1], s[2]
		}
	}
	for i := 3; i < len(t); i++ {
		switch {
		case t[i] == was(i):
			out[i] = s[i]
		case i == 7 && (s[i] != was(i) || left(i) && t[i] == w[i]) && earlier(s[i], t[i]):
			out[i] = s[i]
		}
	}
	return out
}

func earlier(s, t string) bool {
	return s != "" && (t == "" || len(s) < len(t) || len(s) == len(t) && s < t)
}

func randomShadow(r *rand.Rand, from string) string {
	var b strings.Builder
	pick := func(s ...string) string { return s[r.IntN(len(s))] }
	old := parseModel(from)
	for _, k := range []string{"a", "b", "c", "d", "e"} {
		f := old[k]
		switch n := r.IntN(6); {
		case n == 0:
			continue
		case n > 1 && f != nil:
		case n > 3:
			continue
		default:
			f = nil
		}
		if f == nil {
			f = []string{k, h0, "1", "", "", "", "", "", ""}
		}
		f = slices.Clone(f)
		for i, values := range map[int][]string{1: {h0, h1, h2, "!" + h0, "!", "*", "", "!" + h1}, 2: {"0", "1", "2"}, 3: {"", "5", "6"}, 7: {"", "1", "20", "300"}} {
			if r.IntN(4) == 0 {
				f[i] = pick(values...)
			}
		}
		b.WriteString(strings.Join(f, ":") + "\n")
	}
	return b.String()
}

func TestMergeAgainstModel(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	for range 10_000 {
		base := randomShadow(r, "")
		src, tgt := randomShadow(r, base), randomShadow(r, base)
		var origin, was files
		var modelOrigin, modelWas model
		if r.IntN(3) > 0 {
			origin = files{"shadow": randomShadow(r, []string{base, tgt}[r.IntN(2)])}
			modelOrigin = parseModel(origin["shadow"])
		}
		if r.IntN(2) > 0 {
			was = files{"shadow": randomShadow(r, []string{base, tgt}[r.IntN(2)])}
			modelWas = parseModel(was["shadow"])
		}
		all := func(s string) files { return files{"shadow": s} }
		out, records, ok := mergeSides(t, false, all(base), all(src), all(tgt), origin, was)
		require.True(t, ok)
		got := out["shadow"]
		where := fmt.Sprintf("base:\n%s\nsource:\n%s\ntarget:\n%s\norigin:\n%v\nwas:\n%v", base, src, tgt, origin, was)
		require.Equal(t, modelMerge(parseModel(base), parseModel(src), parseModel(tgt), modelOrigin, modelWas), parseModel(got), where)

		again, _, _ := mergeSides(t, false, all(base), all(src), all(got), origin, was)
		require.Equal(t, got, again["shadow"], "twice; "+where)
		locks := parseModel(tgt)
		for k, f := range locks {
			if o, w := modelOrigin[k], modelWas[k]; o != nil && w != nil && f[1] == o[1] && f[1] == w[1] {
				delete(locks, k) // of old, and the source alone opened it
			}
		}
		checkLocks(t, parseModel(base), parseModel(src), locks, parseModel(got), where)
		checkSecrets(t, records)
		for k, s := range parseModel(src) {
			if parseModel(base)[k] == nil && parseModel(tgt)[k] == nil && modelWas[k] == nil {
				require.Equal(t, s, parseModel(got)[k], "an addition is lost; "+where)
			}
		}
	}
}

// checkLocks holds that no lock is lost: an account that the source locked is
// locked in the end, or gone, and so is one that the target locked and the
// source did not unlock while the target left it alone.
func checkLocks(t testing.TB, base, src, tgt, got model, where string) {
	t.Helper()
	for k, g := range got {
		b, s, was := base[k], src[k], tgt[k]
		if s != nil && isLocked(s[1]) && (b == nil || !isLocked(b[1])) {
			require.True(t, isLocked(g[1]), "%q was locked in the source; %s", k, where)
		}
		if was != nil && isLocked(was[1]) && (b == nil || b[1] != was[1]) {
			require.True(t, isLocked(g[1]), "%q was locked in the target; %s", k, where)
		}
	}
}

func checkSecrets(t testing.TB, records []Record) {
	t.Helper()
	b, err := json.Marshal(records)
	require.NoError(t, err)
	require.NotContains(t, string(b), sentinel)
}

// TestMergeBlind has no base: nothing is lost on either side, no lock, and the
// outcome, which is younger then, stays.
func TestMergeBlind(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	for range 10_000 {
		old := randomShadow(r, "")
		src, tgt := randomShadow(r, old), randomShadow(r, old)
		taking := r.IntN(2) == 0
		out, records, ok := mergeBlind(t, taking, files{"shadow": src}, files{"shadow": tgt})
		require.True(t, ok)
		where := fmt.Sprintf("taking %v; source:\n%s\ntarget:\n%s\nout:\n%s", taking, src, tgt, out)
		again, _, _ := mergeBlind(t, false, files{"shadow": src}, out)
		require.Equal(t, out, again, "twice; "+where)
		s, w, got := parseModel(src), parseModel(tgt), parseModel(out["shadow"])
		for k := range got {
			require.True(t, s[k] != nil || w[k] != nil, where)
		}
		for _, m := range []model{s, w} {
			for k := range m {
				require.NotNil(t, got[k], where)
			}
		}
		if taking {
			w = nil // it is the older
			for k := range s {
				require.Equal(t, s[k], got[k], where)
			}
		}
		checkLocks(t, nil, s, w, got, where)
		checkSecrets(t, records)
	}
}

// randomHost is passwd, shadow, group and subuid of a host, changed from
// another one. Numbers are few, so that they clash.
func randomHost(r *rand.Rand, from files) files {
	users, groups := map[string][]string{}, map[string][]string{}
	for line := range strings.FieldsSeq(from["passwd"]) {
		f := strings.Split(line, ":")
		users[f[0]] = f
	}
	for line := range strings.FieldsSeq(from["group"]) {
		f := strings.Split(line, ":")
		groups[f[0]] = f
	}
	used := map[string]bool{}
	for _, f := range users {
		used[f[2]] = true
	}
	number := func(used map[string]bool) string {
		for range 50 {
			if n := fmt.Sprint(1000 + r.IntN(12)); !used[n] {
				used[n] = true
				return n
			}
		}
		return fmt.Sprint(5000 + r.IntN(1<<20))
	}
	usedGroups := map[string]bool{}
	for _, f := range groups {
		usedGroups[f[2]] = true
	}
	for range r.IntN(4) {
		name := string(rune('a' + r.IntN(8)))
		if users[name] == nil {
			g := number(usedGroups)
			users[name] = []string{name, "x", number(used), g, "", "/", "/bin/sh"}
			if groups[name] == nil {
				groups[name] = []string{name, "x", g, ""}
			} else {
				users[name][3] = groups[name][2]
			}
		} else if r.IntN(2) == 0 {
			users[name][2] = number(used)
		} else if r.IntN(3) == 0 {
			users[name][6] = []string{"/bin/sh", "/bin/ksh"}[r.IntN(2)]
		} else {
			delete(users, name)
		}
	}
	for _, g := range slices.Sorted(maps.Keys(groups)) {
		if r.IntN(12) == 0 {
			delete(groups, g)
		} else if r.IntN(12) == 0 {
			groups[g][2] = number(usedGroups)
		}
	}
	out := files{"passwd": "", "shadow": "", "group": ""}
	for _, n := range slices.Sorted(maps.Keys(users)) {
		out["passwd"] += strings.Join(users[n], ":") + "\n"
		pw := h0
		if r.IntN(8) == 0 {
			pw = h1
		}
		out["shadow"] += n + ":" + pw + ":1::::::\n"
	}
	for _, n := range slices.Sorted(maps.Keys(groups)) {
		line := strings.Join(groups[n], ":")
		if r.IntN(20) == 0 {
			line = strings.Join(groups[n][:3], ":") // malformed, and there
		} else if r.IntN(20) == 0 {
			line += "\n" + line
		}
		out["group"] += line + "\n"
	}
	return out
}

// TestMergeNumbers holds, over whole hosts, that no number comes to mean two
// users or groups that it did not mean on one side, and that nobody gets into
// another's group.
func TestMergeNumbers(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	column := func(text string, i int) map[string]string {
		by := map[string]string{}
		for line := range strings.FieldsSeq(text) {
			f := strings.Split(line, ":")
			by[f[0]] = f[i]
		}
		return by
	}
	refused := 0
	for range 5_000 {
		base := randomHost(r, nil)
		src, tgt := randomHost(r, base), randomHost(r, base)
		out, records, ok := mergeText(t, base, src, tgt, nil)
		require.True(t, ok)
		where := fmt.Sprintf("base:\n%s\nsource:\n%s\ntarget:\n%s\nout:\n%s\n%v", base, src, tgt, out, records)
		again, _, _ := mergeText(t, base, src, out, nil)
		require.Equal(t, out, again, "twice; "+where)
		for _, file := range []string{"passwd", "group"} {
			got, s, g := column(out[file], 2), column(src[file], 2), column(tgt[file], 2)
			for a, n := range got {
				for b, m := range got {
					if a != b && n == m && !(s[a] == n && s[b] == n) && !(g[a] == n && g[b] == n) {
						require.Fail(t, "a number twice", "%s: %q and %q; %s", file, a, b, where)
					}
				}
			}
		}
		// A primary group is the one that the source means with its user, or the
		// target with its own.
		srcGroups, tgtGroups, outGroups := column(src["group"], 2), column(tgt["group"], 2), column(out["group"], 2)
		srcUsers, tgtUsers := column(src["passwd"], 3), column(tgt["passwd"], 3)
		for user, g := range column(out["passwd"], 3) {
			dangles := true
			for name, n := range outGroups {
				if n == g {
					dangles = false
					meant := srcUsers[user] == g && srcGroups[name] == g || tgtUsers[user] == g && tgtGroups[name] == g
					require.True(t, meant, "%q comes into %q; %s", user, name, where)
				}
			}
			for name, n := range tgtGroups {
				if n == g && tgtUsers[user] == g && srcUsers[user] != g {
					require.False(t, dangles, "%q loses %q; %s", user, name, where)
				}
			}
		}
		shadow, shadowWas, passwd := column(out["shadow"], 0), column(tgt["shadow"], 0), column(out["passwd"], 0)
		told := map[string]bool{}
		for _, r := range records {
			if strings.HasPrefix(r.Why, "would be without a record in ") {
				told[r.Key] = true
			}
		}
		for user := range shadow {
			require.True(t, shadowWas[user] != "" || passwd[user] != "" || told[user], "%q is in shadow alone; %s", user, where)
		}
		pws, srcShadow := column(out["shadow"], 1), column(src["shadow"], 0)
		baseShadow := column(base["shadow"], 0)
		for user := range baseShadow {
			if srcShadow[user] == "" && shadowWas[user] != "" {
				require.Equal(t, passwd[user] == "", shadow[user] == "", "%q is half removed; %s", user, where)
				require.True(t, shadow[user] == "" || isLocked(pws[user]), "%q is not locked; %s", user, where)
			}
		}
		for user := range passwd {
			require.True(t, shadow[user] != "" || told[user], "%q is in passwd alone; %s", user, where)
		}
		for _, r := range records {
			if strings.Contains(r.Why, "not added") {
				refused++
			}
		}
	}
	require.Greater(t, refused, 250, "the numbers did not clash")
}

func FuzzRecords(f *testing.F) {
	f.Add("passwd", "a:x:1:1::/:\n", "a:x:1:1::/:\nb:x:2:2::/:\n", "a:x:1:1::/:\n+::::::\n", "")
	f.Add("shadow", "a:"+h0+":1::::::\n", "a:!"+h0+":1::::::\n", "a:"+h1+":2:::::9:\n", "")
	f.Add("group", "g:x:1:a,b", "g:x:1:a\r\n", "g:x:1:b,c,b\n#\n", "x")
	f.Add("gshadow", "g:!:a:b\nmalformed\n", "g:!::\n", "g:*:c:\n\n", "")
	f.Add("subuid", "a:1:1\n", "a:1:1\na:1:1\nb:0:9\n", "c:5:1\n", "")
	f.Add("group", "g:x:1:c\n", "g:x:1:a\n", "g:x:1:b,c\n", "g:x:1:a,b\n\fg:x:1:b,a\n")
	f.Add("shadow", "a:!"+h0+":1::::::\n", "a:!"+h0+":1::::::\n", "a:"+h1+":2:::::9:\n", "a:"+h0+":1::::::\n\fa:"+h1+":2::::::\n")
	f.Fuzz(func(t *testing.T, name, base, src, tgt, origin string) {
		if formats[name] == nil || len(base+src+tgt) > 8192 {
			t.Skip()
		}
		all := func(s string) files { return files{name: s} }
		var old, was files
		origin, left, ok := strings.Cut(origin, "\f")
		if ok {
			was = all(left)
		}
		if origin != "" {
			old = all(origin)
		}
		out, _, ok := mergeSides(t, false, all(base), all(src), all(tgt), old, was)
		if !ok {
			t.Skip()
		}
		got := out[name]
		again, _, ok := mergeSides(t, false, all(base), all(src), all(got), old, was)
		require.True(t, ok, "cannot be read again: %q", got)
		require.Equal(t, got, again[name], "twice")
		if same, _, _ := mergeText(t, all(base), all(base), all(tgt), nil); same != nil {
			require.Equal(t, tgt, same[name], "nothing changed in the source")
		}
		// What is no record is never lost.
		b, a := parseTable(formats[name], []byte(tgt)), parseTable(formats[name], []byte(got))
		require.Equal(t, others(b), others(a))
		if formats[name].keyed {
			m := func(text string) model {
				tab := parseTable(formats[name], []byte(text))
				out := model{}
				for k, r := range tab.records {
					if !tab.spoiled[k] {
						out[k] = r
					}
				}
				return out
			}
			s, w := m(src), m(tgt)
			for k := range b.spoiled {
				delete(s, k)
			}
			if was != nil {
				maps.DeleteFunc(w, func(k string, f []string) bool {
					return m(origin)[k] != nil && m(origin)[k][1] == f[1] // of old: it may be opened
				})
			}
			checkLocks(t, m(base), s, w, m(got), "")
		}
	})
}

func others(t *table) []string {
	var o []string
	for _, r := range t.rows {
		if r.record == nil {
			o = append(o, r.raw)
		}
	}
	return o
}
