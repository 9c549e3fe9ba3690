package packaging

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// host is what the scripts see of one: programs that note how they were called,
// and a directory for snapbe in /run.
type host struct {
	dir string
	env []string
}

func fakeHost(t *testing.T) *host {
	t.Helper()
	h := &host{dir: t.TempDir()}
	h.env = []string{"RUNTIME_DIRECTORY=" + h.path("run"), "PATH=" + h.path("bin") + ":/usr/bin:/bin", "LOG=" + h.path("log")}
	require.NoError(t, os.Mkdir(h.path("run"), 0o755))
	require.NoError(t, os.Mkdir(h.path("bin"), 0o755))
	for name, body := range map[string]string{
		"reboot":     "",
		"journalctl": `cat "$JOURNAL"`,
		"sleep":      "exec /bin/sleep 0.1",
		"snapbe":     `cat "$STATUS" 2>/dev/null; [ -z "$MEANWHILE" ] || touch "$RUNTIME_DIRECTORY/no-failback"; exit "${SNAPBE:-0}"`,
		"systemctl": `case $1 in
is-system-running) echo "${STATE:-starting}"; [ "$STATE" = running ] ;;
list-units) printf '%s\n' "$FAILED" ;;
list-jobs) printf '%s\n' "$JOBS" ;;
--no-block) exit "${REFUSED:-0}" ;;
esac`,
	} {
		text := "#!/bin/sh\nprintf '%s\\n' \"" + name + " $*\" >>\"$LOG\"\n" + body + "\n"
		require.NoError(t, os.WriteFile(h.path("bin/"+name), []byte(text), 0o600))
		require.NoError(t, os.Chmod(h.path("bin/"+name), 0o755))
	}
	h.write(t, "journal", "")
	h.env = append(h.env, "JOURNAL="+h.path("journal"))
	return h
}

func (h *host) path(name string) string { return filepath.Join(h.dir, name) }

func (h *host) write(t *testing.T, name, text string) {
	t.Helper()
	require.NoError(t, os.WriteFile(h.path(name), []byte(text), 0o600))
}

// run runs a script of the package and gives what it printed.
func (h *host) run(t *testing.T, stdin string, argv ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "systemd/lib/"+argv[0], argv[1:]...)
	cmd.Env = h.env
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// did are the calls that change something, or wait, in their order.
func (h *host) did(t *testing.T) (calls []string) {
	t.Helper()
	log, err := os.ReadFile(h.path("log"))
	require.NoError(t, err)
	for line := range strings.Lines(string(log)) {
		line = strings.TrimSpace(line)
		if !regexp.MustCompile(`^(systemctl (is-|list-)|journalctl )`).MatchString(line) {
			calls = append(calls, line)
		}
	}
	return calls
}

// What a trial is left for is told, and whatever happens then, the machine starts
// anew.
func TestTrialReject(t *testing.T) {
	const failed = "ssh.service loaded failed failed OpenBSD Secure Shell server\nsnapbe-confirm.service loaded failed failed x"
	const jobs = "12 web.service start running\n13 multi-user.target start waiting\n14 snapbe-confirm.service start running"
	reboots := []string{"systemctl --no-block reboot", "sleep 300", "systemctl --force reboot", "sleep 120", "reboot -f -n"}
	rejects := func(why string) string { return "snapbe --wait 50s reject --why " + why }
	for _, tt := range []struct {
		name, what string
		env        []string
		journal    string
		want       []string
		says       string
	}{
		{name: "a check", what: "confirm", env: []string{"FAILED=" + failed, "JOBS=" + jobs},
			journal: "  [ok]\nsnapbe: cannot confirm \"be-2\": check \"10-ssh\": exit 1\nhint: mend it\n",
			want:    append([]string{rejects(`it came up, but was not confirmed: cannot confirm "be-2": check "10-ssh": exit 1; failed: ssh.service`)}, reboots...)},
		{name: "boot-complete.target", what: "confirm", env: []string{"FAILED=" + failed},
			journal: "Dependency failed for snapbe-confirm.service\n",
			want:    append([]string{rejects("it came up, but was not confirmed; failed: ssh.service")}, reboots...)},
		{name: "deadline", what: "deadline", env: []string{"JOBS=" + jobs},
			want: append([]string{rejects("it was not confirmed in time; waits for: web.service")}, reboots...)},
		{name: "handover", what: "handover", journal: "snapbe: cannot hand over: \\x41\n",
			want: append([]string{rejects(`what changed last in the boot environment before was not taken over: cannot hand over: \x41`)}, reboots...)},
		{name: "emergency", what: "emergency",
			want: append([]string{rejects("it came up in emergency or rescue mode")}, reboots[2:]...)},
		{name: "systemd refuses", what: "deadline", env: []string{"REFUSED=1"},
			want: append([]string{rejects("it was not confirmed in time"), reboots[0]}, reboots[2:]...),
			says: "or was refused: it is forced"},
		{name: "snapbe fails", what: "deadline", env: []string{"SNAPBE=127"},
			want: append([]string{rejects("it was not confirmed in time")}, reboots...),
			says: "it could not be marked as rejected"},
		{name: "confirmed meanwhile", what: "deadline", env: []string{"SNAPBE=1", "MEANWHILE=1"},
			want: []string{rejects("it was not confirmed in time")}, says: "confirmed or rejected meanwhile"},
		{name: "shutdown", what: "confirm", env: []string{"STATE=stopping"}, says: "the machine is shutting down"},
		{name: "long", what: "confirm", journal: "snapbe: " + strings.Repeat("x", 2000) + "\n",
			want: append([]string{rejects(("it came up, but was not confirmed: " + strings.Repeat("x", 2000))[:500])}, reboots...)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := fakeHost(t)
			h.write(t, "journal", tt.journal)
			h.env = append(h.env, tt.env...)
			out, err := h.run(t, "", "trial-reject", tt.what)
			require.NoError(t, err, out)
			assert.Equal(t, tt.want, h.did(t))
			assert.Contains(t, out, tt.says)
			if len(tt.want) > 1 {
				assert.FileExists(t, h.path("run/no-failback"), "the machine starts anew once")
			}
		})
	}
}

// Who sits at the console of a trial that is in emergency mode can stay.
func TestTrialEmergency(t *testing.T) {
	for _, tt := range []struct {
		name, stdin string
		stays       bool
	}{
		{"nobody", "", false},
		{"a password", "secret\n", false},
		{"somebody", "secret\nstay\n", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := fakeHost(t)
			out, err := h.run(t, tt.stdin, "trial-emergency", "1")
			require.NoError(t, err, out)
			assert.Contains(t, out, "In\n1 seconds the machine starts the one from before. Type   stay   and")
			assert.FileExists(t, h.path("run/no-failback"))
			if tt.stays {
				assert.NoFileExists(t, h.path("log"), "nothing is done")
				return
			}
			assert.Contains(t, h.did(t), "snapbe --wait 50s reject --why it came up in emergency or rescue mode")
			assert.Contains(t, h.did(t), "systemctl --force reboot")
		})
	}
}

// What needs somebody is told at login and in the journal, and nothing where
// nothing does.
func TestTell(t *testing.T) {
	h := fakeHost(t)
	motd := h.path("motd.d/snapbe")
	h.env = append(h.env, "STATUS="+h.path("status"))
	h.write(t, "status", "Running:      debian\nFailback to:  -\n\nDisk  Partition\nvda   vda3\n\n! the trial of \"2026-11\" failed: \\x1b it hung\n! disk vdb is UNAVAIL\n")
	out, err := h.run(t, "", "tell", motd)
	require.NoError(t, err, out)
	assert.Equal(t, "the trial of \"2026-11\" failed: \\x1b it hung\ndisk vdb is UNAVAIL\n", out)
	assert.Equal(t, "snapbe status, when this machine started:\n! the trial of \"2026-11\" failed: \\x1b it hung\n! disk vdb is UNAVAIL\n", read(t, motd))
	info, err := os.Stat(motd)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o644), info.Mode().Perm(), "pam_motd reads it as the user who logs in")

	h.env = append(h.env, "SNAPBE=1")
	_, err = h.run(t, "", "tell", motd)
	require.Error(t, err)
	assert.FileExists(t, motd)

	h.env = append(h.env, "SNAPBE=0")
	h.write(t, "status", "Running:  debian\n\nAll is well.\n")
	out, err = h.run(t, "", "tell", motd)
	require.NoError(t, err)
	assert.Empty(t, out)
	assert.NoFileExists(t, motd)
	left, err := os.ReadDir(h.path("run"))
	require.NoError(t, err)
	assert.Empty(t, left)
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	return string(text)
}

// systemd takes the units as they are, and finds no cycle among them. What init
// enables is disabled when the package goes.
func TestUnits(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("systemd-analyze is not installed")
	}
	root := t.TempDir()
	units := filepath.Join(root, "usr/lib/systemd/system")
	systemds(t, units)
	var argv []string
	prerm := strings.Fields(read(t, "deb/prerm"))
	for _, pattern := range []string{"*.service", "*.timer"} {
		ours, err := filepath.Glob("systemd/" + pattern)
		require.NoError(t, err)
		require.NotEmpty(t, ours)
		for _, unit := range ours {
			name, text := filepath.Base(unit), read(t, unit)
			require.NoError(t, os.WriteFile(filepath.Join(units, name), []byte(text), 0o600))
			argv = append(argv, strings.Replace(name, "@.", "@confirm.", 1))
			assert.Equal(t, strings.Contains(text, "\n[Install]\n"), slices.Contains(prerm, name), "%s in prerm", name)
			wants(t, units, name, text)
		}
	}
	for _, program := range []string{"usr/sbin/snapbe", "bin/touch", "usr/lib/snapbe/trial-reject", "usr/lib/snapbe/trial-emergency", "usr/lib/snapbe/tell"} {
		require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(root, program)), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(root, program), []byte("#!/bin/sh\n"), 0o600))
		require.NoError(t, os.Chmod(filepath.Join(root, program), 0o755))
		if name, own := strings.CutPrefix(program, "usr/lib/snapbe/"); own {
			assert.FileExists(t, "systemd/lib/"+name)
		}
	}
	argv = append([]string{"verify", "--man=no", "--root=" + root}, append(argv, "graphical.target", "emergency.target", "rescue.target")...)
	out, err := exec.CommandContext(t.Context(), analyze, argv...).CombinedOutput()
	require.NoError(t, err, "%s", out)
	assert.Empty(t, string(out))
}

// systemds copies those of systemd's own units that matter here.
func systemds(t *testing.T, units string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(units, 0o755))
	targets, err := filepath.Glob("/usr/lib/systemd/system/*.target")
	require.NoError(t, err)
	for _, unit := range append(targets, "/usr/lib/systemd/system/emergency.service", "/usr/lib/systemd/system/rescue.service") {
		require.NoError(t, os.WriteFile(filepath.Join(units, filepath.Base(unit)), []byte(read(t, unit)), 0o600))
	}
}

// wants enables a unit, as systemctl enable does.
func wants(t *testing.T, units, name, text string) {
	t.Helper()
	for _, m := range regexp.MustCompile(`(?m)^WantedBy=(.*)$`).FindAllStringSubmatch(text, -1) {
		for target := range strings.FieldsSeq(m[1]) {
			dir := filepath.Join(units, target+".wants")
			require.NoError(t, os.MkdirAll(dir, 0o755))
			require.NoError(t, os.Symlink("../"+name, filepath.Join(dir, name)))
		}
	}
}
