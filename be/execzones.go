package be

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"snapbe/internal/mount"
	"snapbe/zones"
)

// execEnv is the environment of what runs in a BE.
func execEnv(b BE) []string { return append(os.Environ(), "SNAPBE_EXEC="+b.Name) }

// zoneVariables are what a zone is told of the caller's environment, beside LC_*: in
// the rest there may be secrets, such as of an agent or a token.
var zoneVariables = []string{
	"TERM", "COLORTERM", "NO_COLOR", "LANG", "LANGUAGE", "TZ",
	"DEBIAN_FRONTEND", "DEBIAN_PRIORITY", "DEBCONF_NONINTERACTIVE_SEEN", "APT_LISTCHANGES_FRONTEND", "NEEDRESTART_MODE",
	"http_proxy", "https_proxy", "ftp_proxy", "all_proxy", "no_proxy",
	"HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "ALL_PROXY", "NO_PROXY",
}

// zoneEnv is the environment of what runs in a zone of a BE, of the caller's.
func zoneEnv(b BE, callers []string) []string {
	env := []string{"HOME=/root", "USER=root", "LOGNAME=root", "SHELL=/bin/sh"}
	for _, v := range callers {
		name, _, _ := strings.Cut(v, "=")
		if slices.Contains(zoneVariables, name) || strings.HasPrefix(name, "LC_") {
			env = append(env, v)
		}
	}
	return append(env, "SNAPBE_EXEC="+b.Name)
}

// hostExtra is what a command in a BE sees beside it: GRUB's directory, and the
// share, since without it links of /var lead nowhere.
func (m *Manager) hostExtra(ctx context.Context, st *state) (extra []mount.Entry, err error) {
	if st.grub != "" {
		extra = append(extra, mount.Entry{Dataset: st.grub, Dir: "boot/grub"})
	}
	share, err := m.shareThere(ctx, st)
	if share != "" {
		extra = append(extra, mount.Entry{Dataset: share, Dir: shareDir[1:]})
	}
	return extra, err
}

// zoneSpec is how a command runs in a root of a zone of b: confined, since whoever
// is root in the zone has written the programs, with the zone's share and name, and
// on the host's network.
func (st *state) zoneSpec(b BE, z zones.BE) mount.ExecSpec {
	x := mount.ExecSpec{Confined: true, Env: zoneEnv(b, os.Environ()), Hostname: z.Zone, Resolver: true}
	for _, zone := range st.zones {
		if zone.Share != "" && within(z.Dataset, zone.Dataset) {
			x.Extra = append(x.Extra, mount.Entry{Dataset: zone.Share, Dir: shareDir[1:]})
		}
	}
	return x
}

// exitInterrupted is how a command ends by Ctrl-C on its terminal, which snapbe does
// not get itself: 128 and SIGINT.
const exitInterrupted = 130

// execZones runs a command in the zones of a BE, one after the other; code is that
// of the first that failed. A zone that cannot be entered does not keep the
// command from the others, but Ctrl-C does: those left out then are named.
func (m *Manager) execZones(ctx context.Context, st *state, b BE, x Exec, what string) (code int, notes []string, err error) {
	chosen, err := m.chosenZones(st, b, *x.Zones, what)
	if err != nil {
		return 0, nil, err
	}
	if len(chosen) == 0 {
		return 0, nil, refuse(NotFound, "snapbe zone list shows those that there are", "%s: no zone follows it", what)
	}
	trees, err := m.zoneTrees(ctx, chosen)
	if err != nil {
		return 0, nil, err
	}
	release, err := m.work(b, what)
	if err != nil {
		return 0, nil, err
	}
	defer release()
	var failed, stopped error
	var left []zones.BE // since it was stopped
	for i, z := range chosen {
		if x.Begin != nil {
			if stopped = x.Begin(z.Zone); stopped != nil {
				left = chosen[i:]
				break
			}
		}
		c, err := m.execZone(ctx, trees[i], st.zoneSpec(b, z), x)
		if err != nil {
			failed = errors.Join(failed, fmt.Errorf("the zone %q: %w", z.Zone, err))
		} else if code == 0 && failed == nil {
			code = c
		}
		if c == exitInterrupted {
			left, stopped = chosen[i+1:], errors.New("interrupted")
			break
		}
	}
	notes = m.sys.Host.ConfinementGaps()
	if len(left) > 0 {
		return code, notes, notBegun(what, left, failed, stopped)
	}
	return code, notes, explain(what, failed)
}

// execZone runs a command in one zone.
func (m *Manager) execZone(ctx context.Context, t mount.Tree, spec mount.ExecSpec, x Exec) (code int, err error) {
	if err := m.sys.Host.View(bootTree(t), true, refuseShifted); err != nil {
		return 0, err
	}
	spec.Argv, spec.Dir, spec.Stdin, spec.Stdout, spec.Stderr, spec.Grace = x.Argv, x.Dir, x.Stdin, x.Stdout, x.Stderr, x.Grace
	return m.sys.Host.Exec(ctx, t, spec)
}

// notBegun names the zones that a command was not begun in, beside what failed.
func notBegun(what string, left []zones.BE, failed, why error) error {
	var names []string
	for _, z := range left {
		names = append(names, z.Zone)
	}
	all := strings.Join(names, ",")
	return &Error{Code: Failed, Text: what, Err: errors.Join(failed, fmt.Errorf("not begun in %s: %w", all, why)),
		Hint: "with --zones=" + all + " it runs in what is left"}
}
