package zones

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"snapbe/internal/command"
)

// answers are what commands print, by the whole command line.
type answers map[string]func() (string, error)

// script answers by the whole command line, and keeps what was run. A command
// with an input has it after "<".
type script struct {
	answers answers
	ran     []string
}

func (s *script) Run(_ context.Context, c command.Cmd) ([]byte, error) {
	line := strings.Join(c.Argv, " ")
	answer := s.answers[line]
	if c.Stdin != nil {
		text, err := io.ReadAll(c.Stdin)
		if err != nil {
			return nil, err
		}
		line += " < " + string(text)
	}
	s.ran = append(s.ran, line)
	if answer == nil {
		return nil, &command.Error{Argv: c.Argv, Code: -1, Err: errors.New("not expected by the test")}
	}
	out, err := answer()
	if err != nil {
		err = &command.Error{Argv: c.Argv, Code: 1, Err: err}
	}
	return []byte(out), err
}

// says prints one text after the other, and the last one from then on.
func says(texts ...string) func() (string, error) {
	return func() (string, error) {
		text := texts[0]
		if len(texts) > 1 {
			texts = texts[1:]
		}
		return text, nil
	}
}

func fails(err error) func() (string, error) { return func() (string, error) { return "", err } }

func recorded(t testing.TB, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name))
	require.NoError(t, err)
	return string(text)
}

// hostTree makes a host's tree: "dir/", "file = text" or "link -> target".
func hostTree(t *testing.T, lines ...string) (string, func() (*os.Root, error)) {
	t.Helper()
	dir := t.TempDir()
	for _, line := range lines {
		name, rest, _ := strings.Cut(line, " ")
		file := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
		switch kind, rest, _ := strings.Cut(rest, " "); kind {
		case "":
			require.NoError(t, os.MkdirAll(file, 0o755))
		case "=":
			require.NoError(t, os.WriteFile(file, []byte(rest), 0o640))
		case "->":
			require.NoError(t, os.Symlink(rest, file))
		default:
			t.Fatalf("line %q", line)
		}
	}
	return dir, func() (*os.Root, error) { return os.OpenRoot(dir) }
}

func TestUp(t *testing.T) {
	for _, s := range []State{Configured, Incomplete, Installed} {
		require.False(t, s.Up(), s)
	}
	for _, s := range []State{Ready, Mounted, Running, ShuttingDown, Down, "unavailable", ""} {
		require.True(t, s.Up(), s)
	}
}
