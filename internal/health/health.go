// Package health runs the administrator's checks of a system that has just
// started: the executables of a directory, side by side, each with a time limit.
package health

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"
	"unicode"

	"golang.org/x/sync/errgroup"
)

const (
	// defaultLimit is how long a check may take, defaultJobs how many run at once.
	defaultLimit = time.Minute
	defaultJobs  = 8
)

// names are those that run-parts(8) takes.
var names = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

// Checks are the executables of a directory.
type Checks struct {
	// Dir is the directory; where it does not exist there are no checks.
	Dir string
	// Limit is how long each may take; 0 is a minute. Then its process group gets
	// SIGTERM, and SIGKILL 5 seconds later.
	Limit time.Duration
	// Jobs is how many run at once; 0 is 8.
	Jobs int
	// Env holds further NAME=value pairs for them.
	Env []string
}

// Report tells of all that is in the directory, by name.
type Report struct {
	Results []Result
	// PassedOver are the files that are no checks, since they are not executable
	// or have a name that run-parts(8) does not take either, such as "ssh.sh".
	// Such a name may hold anything: it is not fit for a terminal.
	PassedOver []string
}

// Result tells of one check.
type Result struct {
	// Name is of letters, digits, "-" and "_" alone.
	Name string
	// Code is the exit code; -1 where it did not start or a signal ended it.
	Code int
	// Took is how long it ran.
	Took     time.Duration
	TimedOut bool
	// Output is the end of what it wrote to stdout and stderr, 16 KiB at most. It
	// may hold anything: Last is fit for a terminal and a journal.
	Output []byte
	// Err is why the check does not count as passed; nil where it does.
	Err error
}

// Failed are the results of the checks that have not passed.
func (r Report) Failed() (failed []Result) {
	for _, c := range r.Results {
		if c.Err != nil {
			failed = append(failed, c)
		}
	}
	return failed
}

// Run runs all checks and waits for them. Who may start something as root by
// this must be root already: a check that somebody else than root and the caller
// owns or may write to, or may put another one in the place of, is not run and
// counts as failed; a directory of that kind is an error. When the context ends,
// so do the checks; the report is whole all the same, and the error is the
// context's.
func (c Checks) Run(ctx context.Context) (Report, error) {
	entries, err := os.ReadDir(c.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return Report{}, nil
	}
	if err != nil {
		return Report{}, fmt.Errorf("read the health checks: %w", err)
	}
	if _, err := trusted(c.Dir); err != nil {
		return Report{}, fmt.Errorf("run the health checks of %s: %w", c.Dir, err)
	}
	var r Report
	for _, e := range entries { // by name
		name := e.Name()
		if path := filepath.Join(c.Dir, name); !names.MatchString(name) || !executable(path) {
			r.PassedOver = append(r.PassedOver, name)
			continue
		}
		r.Results = append(r.Results, Result{Name: name, Code: -1})
	}
	var g errgroup.Group
	g.SetLimit(cmp.Or(c.Jobs, defaultJobs))
	for i := range r.Results {
		g.Go(func() error {
			c.check(ctx, &r.Results[i])
			return nil
		})
	}
	_ = g.Wait() // none gives an error
	return r, ctx.Err()
}

// executable tells whether it is one, or a link that may lead to one: where it
// does not, running it tells so, and a check that has gone is no passed check.
func executable(path string) bool {
	info, err := os.Stat(path)
	if err != nil {
		return true
	}
	return info.Mode().IsRegular() && info.Mode()&0o111 != 0
}

// trusted resolves a path that nobody but root and the caller can lead elsewhere
// or write to.
func trusted(path string) (string, error) {
	path, err := filepath.EvalSymlinks(path)
	if err == nil {
		path, err = filepath.Abs(path)
	}
	if err != nil {
		return "", err
	}
	for p := path; ; p = filepath.Dir(p) {
		info, err := os.Lstat(p)
		if err != nil {
			return "", err
		}
		if st, ok := info.Sys().(*syscall.Stat_t); ok && st.Uid != 0 && int(st.Uid) != os.Geteuid() {
			return "", fmt.Errorf("refused: uid %d owns %s", st.Uid, p)
		}
		// Who may write to a sticky directory, such as /tmp, may not replace what
		// is another one's there.
		sticky := info.IsDir() && p != path && info.Mode()&fs.ModeSticky != 0
		if info.Mode().Perm()&0o022 != 0 && !sticky {
			return "", fmt.Errorf("refused: others than root can write to %s", p)
		}
		if p == filepath.Dir(p) {
			return path, nil
		}
	}
}

// Last are the last lines of the output, at most n. What does not print is
// escaped, as with Go's %q.
func (r Result) Last(n int) (lines []string) {
	text := strings.TrimSpace(string(r.Output))
	if text == "" {
		return nil
	}
	lines = strings.Split(text, "\n")
	lines = lines[max(0, len(lines)-n):]
	for i, line := range lines {
		lines[i] = printable(strings.TrimRight(line, "\r"))
	}
	return lines
}

func printable(line string) string {
	var b strings.Builder
	for _, r := range strings.ToValidUTF8(line, "\uFFFD") {
		if r == ' ' || unicode.IsPrint(r) {
			b.WriteRune(r)
			continue
		}
		b.WriteString(strings.Trim(fmt.Sprintf("%+q", r), "'"))
	}
	return b.String()
}
