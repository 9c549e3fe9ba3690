package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"snapbe/be"
	"snapbe/synclist"
)

// What a sync does in a zone comes below the zone's name, the host's first.
func TestSyncShowsZones(t *testing.T) {
	report := func(path string) *synclist.Report {
		return &synclist.Report{Items: []synclist.Item{{Path: path, Action: synclist.Copied}}}
	}
	r := &recorder{result: be.Result{Sync: report("/etc/hosts"), Zones: []be.ZoneSync{
		{Zone: "db", Report: &synclist.Report{Unchanged: 3}},
		{Zone: "web\x1b", Report: report("/etc/motd")},
	}}}
	assert.Contains(t, call(t, r, "sync", "-n", "new").out, "copied  /etc/hosts\nzone db:\n3 more need nothing\nzone web\\x1b:\ncopied  /etc/motd\n")
}

// The share of a zone is asked for by the zone's name.
func TestShareOfZone(t *testing.T) {
	for args, want := range map[string]be.Request{
		"share init -y --zone web --dir mail":    be.ShareInit{Dirs: []string{"mail"}, Zone: "web"},
		"share snapshot --zone web mine":         be.ShareSnapshot{Name: "mine", Zone: "web"},
		"share restore --zone web mine mail/ann": be.ShareRestore{Snap: "mine", Zone: "web", Paths: []string{"mail/ann"}},
		"share destroy -y --zone web mine":       be.ShareDestroy{Snap: "mine", Zone: "web"},
	} {
		r := &recorder{}
		said := call(t, r, strings.Fields(args)...)
		assert.Zero(t, said.code, said.err)
		assert.Equal(t, want, r.request)
	}
	r := &recorder{share: be.ShareState{Zone: "web", Dataset: "rpool/zones/web/VARSHARE"}}
	assert.Contains(t, call(t, r, "share", "list", "--zone", "web", "--json").out, `"zone": "web"`)
	assert.Equal(t, "web", r.zone)
	call(t, r, "share", "diff", "--zone", "db")
	assert.Equal(t, "db", r.zone)
}
