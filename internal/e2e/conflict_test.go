//go:build vm

package e2e

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"snapbe/internal/lab"
)

// TestSyncConflicts: what cannot be brought together is said before anything
// changes, the new side's stays, and who wants it otherwise is refused.
func TestSyncConflicts(t *testing.T) {
	t.Parallel()
	m := adopted(t, "trixie", "single")
	conflicting(m)
	before := world(m)

	dry := m.MustRun("snapbe sync -n new")
	t.Logf("%s", dry)
	tellsConflicts(t, dry)
	assert.Regexp(t, `refused[^\n]*/etc/lab/dir/fifo`, dry)
	assert.Regexp(t, `skipped[^\n]*/etc/lab/linked`, dry, "a symlink leads there")
	for _, refused := range []string{"snapbe sync --strict new", "snapbe activate --strict new", "snapbe activate --strict --reboot new"} {
		out, err := m.Run(refused)
		t.Logf("%s: %s", refused, out)
		assert.Equal(t, 1, lab.ExitCode(err), refused)
		assert.Contains(t, out, "conflict")
		assert.Equal(t, before, world(m), refused)
	}

	m.MustRun("sed -i 's,^/etc/lab/both,& STRICT,' /etc/snapbe/synclist")
	out, err := m.Run("snapbe activate new")
	t.Logf("STRICT: %s", out)
	assert.Equal(t, 1, lab.ExitCode(err), "a line that is strict")
	assert.Equal(t, before, world(m), "a line that is strict")
	m.MustRun("sed -i 's, STRICT,,' /etc/snapbe/synclist")

	out = m.MustRun("snapbe activate new")
	t.Logf("%s", out)
	first := strings.Index(out, "[ok]")
	require.Positive(t, first)
	tellsConflicts(t, out[:first])
	assert.Equal(t, "new side\n", in(m, "new", "cat /etc/lab/both"), "the new side's stays")
	assert.Contains(t, in(m, "new", "grep ^bob: /etc/passwd"), ":/bin/bash")
	assert.Contains(t, in(m, "new", "grep ^ivy: /etc/passwd"), "ivy:x:1500:")
	assert.Empty(t, in(m, "new", "cut -d: -f3 /etc/passwd | sort | uniq -d"), "no uid is taken twice")
	assert.Equal(t, "new elsewhere\n", in(m, "new", "cat /etc/lab/elsewhere/file"), "nothing is written through a symlink")
	assert.Empty(t, in(m, "new", "ls /etc/lab/dir | grep fifo || true"))
	assert.Equal(t, "copied all the same\n", in(m, "new", "cat /etc/lab/dir/file"))
	t.Logf("%s", m.MustRun("snapbe activate debian"))
}

// conflicting makes a BE that has changed where the running one has changed too.
func conflicting(m *lab.Machine) {
	accounts(m, "bob")
	listed(m, "/etc/lab/both", "/etc/lab/dir", "/etc/lab/linked/file")
	m.MustRun(`mkdir -p /etc/lab/dir /etc/lab/linked
		echo once > /etc/lab/both; echo once > /etc/lab/dir/file; echo once > /etc/lab/linked/file
		snapbe create new
		echo 'old side' > /etc/lab/both
		echo 'copied all the same' > /etc/lab/dir/file; mkfifo /etc/lab/dir/fifo
		echo 'old side' > /etc/lab/linked/file
		usermod -s /bin/dash bob
		useradd -u 1500 hal`)
	in(m, "new", `echo 'new side' > /etc/lab/both
		usermod -s /bin/bash bob
		useradd -u 1500 ivy
		mv /etc/lab/linked /etc/lab/elsewhere; echo 'new elsewhere' > /etc/lab/elsewhere/file
		ln -s elsewhere /etc/lab/linked`)
}

func tellsConflicts(t *testing.T, out string) {
	t.Helper()
	for _, want := range []string{
		`(?s)/etc/lab/both\b[^\n]*conflict|conflict[^\n]*/etc/lab/both\b`,
		`(?s)bob\b[^\n]*shell|conflict[^\n]*bob`,
		`(?s)hal\b[^\n]*ivy|ivy\b[^\n]*hal`,
		`1500`,
	} {
		assert.Regexp(t, want, out)
	}
}
