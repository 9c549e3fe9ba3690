package synclist

import (
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// locks notes the accounts that were closed since the last sync, and not opened
// on the other side later.
func (h *history) locks() {
	for _, opened := range []bool{true, false} {
		for _, e := range []*environment{h.debian, h.new} {
			for _, name := range items[:3] {
				was, is := item(e.seen, name), item(e.files, name)
				if opened == isLocked(was) && opened != isLocked(is) {
					h.pending[name] = !opened
				}
			}
		}
	}
	h.debian.seen, h.new.seen = maps.Clone(h.debian.files), maps.Clone(h.new.files)
}

// sync syncs and holds that once more is without effect.
func (h *history) sync(from, to *environment, base, origin, was, logs files) {
	h.locks()
	h.t.Run("", func(t *testing.T) {
		l := newLab(t, base, from.files, to.files)
		if origin != nil {
			l.sides.Origin = l.tree("origin", origin)
		}
		if was != nil {
			l.sides.Was = l.tree("was", was)
			if to.taken != nil {
				l.sides.Known = l.tree("known", to.taken)
			}
		}
		if logs != nil {
			l.sides.Logs = &Past{Base: l.tree("logs", logs), Origin: l.tree("older", h.origin), Was: l.sides.Base}
		}
		r, err := Apply(t.Context(), mustParse(t, historyList), l.sides, Options{})
		require.NoError(t, err)
		h.log("%s", r)
		after := l.files("tgt")
		_, err = Apply(t.Context(), mustParse(t, historyList), l.sides, Options{})
		require.NoError(t, err)
		require.Equal(t, after, l.files("tgt"), "twice; %s", strings.Join(h.where, "\n"))
		to.files, to.seen = after, maps.Clone(after)
	})
}

// files is the content of a tree.
func (l *lab) files(side string) files {
	l.t.Helper()
	out := files{}
	dir := l.dirs[side]
	require.NoError(l.t, filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, _ := filepath.Rel(dir, p)
		if to, err := os.Readlink(p); err == nil {
			out[name] = "-> " + to
			return nil
		}
		b, err := os.ReadFile(p)
		out[name] = string(b)
		return err
	}))
	return out
}

// switchTo activates a BE and starts it: what is still written in between comes
// with the handover.
func (h *history) switchTo(to *environment) {
	from := h.other(to)
	h.log("switch to %s", to.name)
	base := to.taken
	if base == nil {
		base = h.origin
	}
	source, target := maps.Clone(from.files), maps.Clone(to.files)
	h.sync(from, to, base, nil, nil, from.own)
	activated, left := maps.Clone(from.files), maps.Clone(to.files)
	for range h.r.IntN(3) {
		h.edit(from, true)
	}
	switch h.kind {
	case plain:
		h.sync(from, to, activated, nil, nil, nil)
	case looking:
		h.sync(from, to, activated, h.origin, left, nil)
	}
	h.check(from, to, source, target, base)
	from.taken, to.own = maps.Clone(from.files), maps.Clone(to.files)
}

func (h *history) check(from, to *environment, source, target, base files) {
	where := func() string { return h.kind + "\n" + strings.Join(h.where, "\n") }
	for _, line := range h.written {
		require.Equal(h.t, 1, strings.Count(to.files["log"], line+"\n"), "%q in %s; %s", line, to.name, where())
	}
	for _, name := range items {
		s, now := item(from.files, name), item(to.files, name)
		if h.pending[name] {
			require.True(h.t, isLocked(now), "%s: a lock is lost; %s", name, where())
		}
		t := item(target, name)
		if by := h.editors[name]; len(by) == 1 && !h.unfollowed[name] {
			want := t
			if by[from] {
				want = s
			}
			require.Equal(h.t, want, now, "%s: changed on one side alone, and it is not there; %s", name, where())
		}
		if s == item(base, name) && s == item(source, name) && t != item(base, name) {
			if isLocked(s) {
				t, now = strings.TrimPrefix(t, "!"), strings.TrimPrefix(now, "!")
			}
			require.Equal(h.t, t, now, "%s: a change of the target is undone; %s", name, where())
		}
	}
}

func TestThereAndBack(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	for _, kind := range []string{plain, looking} {
		for range 20 {
			t.Run("", func(t *testing.T) {
				h := newHistory(t, r, kind)
				running := h.debian
				for range 2 + r.IntN(4) {
					for range r.IntN(6) {
						if r.IntN(3) == 0 {
							h.edit(h.other(running), false)
						} else {
							h.edit(running, true)
						}
					}
					running = h.other(running)
					h.switchTo(running)
					if t.Failed() {
						return
					}
				}
			})
		}
	}
}
