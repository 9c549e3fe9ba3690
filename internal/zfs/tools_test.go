package zfs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"snapbe/internal/command"
)

// said answers each program with what is to be said of its argument list.
type said struct {
	mu     sync.Mutex
	ran    []string
	stdin  string
	answer func(argv string) (stdout, stderr string)
}

func (s *said) Run(_ context.Context, c command.Cmd) ([]byte, error) {
	argv := strings.Join(c.Argv, " ")
	s.mu.Lock()
	s.ran = append(s.ran, argv)
	if c.Stdin != nil {
		b, _ := io.ReadAll(c.Stdin)
		s.stdin = string(b)
	}
	s.mu.Unlock()
	if s.answer == nil {
		return []byte("{}"), nil
	}
	stdout, stderr := s.answer(argv)
	if stderr != "" {
		return nil, &command.Error{Argv: c.Argv, Stderr: stderr, Code: 1, Err: errors.New("exit status 1")}
	}
	return []byte(stdout), nil
}

func TestArguments(t *testing.T) {
	ctx := context.Background()
	const program = "zfs program -j -t 100000000 -m 104857600 -- p - "
	for _, c := range []struct {
		name string
		do   func(*Tools) error
		want []string
	}{
		{"snapshot", func(z *Tools) error {
			return z.Snapshot(ctx, []string{"p/a@s", "p/b@s"}, Props{"b:b": "2", "a:a": "1"})
		}, []string{"zfs snapshot -o a:a=1 -o b:b=2 -- p/a@s p/b@s"}},
		{"create", func(z *Tools) error { return z.Create(ctx, "p/a", Props{"canmount": "off"}) },
			[]string{"zfs create -u -o canmount=off -- p/a"}},
		{"promote", func(z *Tools) error { return z.Promote(ctx, "p/a") }, []string{"zfs promote p/a"}},
		{"rename", func(z *Tools) error { return z.Rename(ctx, "p/a", "p/b") }, []string{"zfs rename -u -- p/a p/b"}},
		{"rename a snapshot", func(z *Tools) error { return z.Rename(ctx, "p/a@s", "p/a@t") }, []string{"zfs rename -- p/a@s p/a@t"}},
		{"set user properties of one", func(z *Tools) error {
			return z.Set(ctx, []Change{{Dataset: "p/a", Set: Props{"b:b": "2", "a:a": "x y"}}})
		}, []string{"zfs set a:a=x y b:b=2 p/a"}},
		{"set user properties of two", func(z *Tools) error {
			return z.Set(ctx, []Change{{Dataset: "p/a", Set: Props{"a:a": "-n"}, Inherit: []string{"b:b"}}, {Dataset: "p/b@s", Set: Props{"c:c": ""}}})
		}, []string{program + "set p/a a:a -n inherit p/a b:b set p/b@s c:c "}},
		{"set user properties in two pools", func(z *Tools) error {
			return z.Set(ctx, []Change{{Dataset: "p/a", Set: Props{"a:a": "1"}}, {Dataset: "q/b", Set: Props{"c:c": "1"}}})
		}, []string{"zfs set a:a=1 p/a", "zfs set c:c=1 q/b"}},
		{"set native ones", func(z *Tools) error {
			return z.Set(ctx, []Change{
				{Dataset: "p/a", Set: Props{"canmount": "noauto", "a:a": "1"}, Inherit: []string{"readonly"}},
				{Dataset: "p/b", Set: Props{"mountpoint": "/"}},
			})
		}, []string{"zfs set a:a=1 canmount=noauto p/a", "zfs inherit -- readonly p/a", "zfs set -u mountpoint=/ p/b"}},
		{"destroy", func(z *Tools) error {
			return z.Destroy(ctx, Removal{
				Promote: []string{"p/c"}, Datasets: []string{"p/a@s", "p/a"},
				Then: []Change{{Dataset: "p/c", Set: Props{"a:a": "1"}, Inherit: []string{"b:b"}}},
			})
		}, []string{program + "promote p/c destroy p/a@s destroy p/a set p/c a:a 1 inherit p/c b:b"}},
		{"rollback", func(z *Tools) error { return z.Rollback(ctx, []string{"p/a@1", "p/b@1"}, []string{"p/a@2"}) },
			[]string{program + "destroy p/a@2 rollback p/a@1 rollback p/b@1"}},
		{"pool set", func(z *Tools) error { return z.PoolSet(ctx, "p", "bootfs", "") }, []string{"zpool set bootfs= p"}},
		{"nothing", func(z *Tools) error {
			return errors.Join(z.Snapshot(ctx, nil, nil), z.Clone(ctx, nil), z.Set(ctx, nil), z.Destroy(ctx, Removal{}), z.Rollback(ctx, nil, nil))
		}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := &said{}
			require.NoError(t, c.do(NewTools(s)))
			assert.Equal(t, c.want, s.ran)
			if strings.HasPrefix(strings.Join(c.want, ""), program) {
				assert.Equal(t, changeScript, s.stdin)
			}
		})
	}
}

func TestGetArguments(t *testing.T) {
	const columns = "zfs get -Hp -o name,property,value,source -t "
	for _, c := range []struct {
		q    Query
		want string
	}{
		{Query{Props: []string{"a:b", "type", "name", "a:b"}}, "filesystem,volume -d 0 -- type,a:b"},
		{Query{Roots: []string{"p", "q/x"}, Depth: -1, Props: []string{"used"}}, "filesystem,volume -r -- type,used p q/x"},
		{Query{Roots: []string{"p"}, Depth: 3, Kinds: []Kind{Snapshot}}, "snapshot -d 3 -s local,received,none -- all p"},
		{Query{Roots: []string{"p@s"}, Props: []string{}}, "filesystem,volume,snapshot -d 0 -- type p@s"},
		{Query{Roots: []string{"p"}, Kinds: []Kind{Volume, Snapshot}, Props: []string{}}, "filesystem,volume,snapshot -d 0 -- type p"},
	} {
		s := &said{answer: func(string) (string, string) { return "", "" }}
		_, err := NewTools(s).Get(t.Context(), c.q)
		require.NoError(t, err)
		assert.Equal(t, []string{columns + c.want}, s.ran)
	}
}

// TestRefused has what the programs were seen to say.
func TestRefused(t *testing.T) {
	for _, c := range []struct {
		stderr string
		want   Reason
		name   string
	}{
		{"cannot open 'p/no': dataset does not exist\n", NotFound, "p/no"},
		{"cannot open 'p/no': dataset does not exist\nusage:\n\tsnapshot [-r] …\n", NotFound, "p/no"},
		{"cannot open 'x': no such pool\ncannot open pool 'x'\n", NotFound, "x"},
		{"cannot create 'x/a': no such pool 'x'\n", NotFound, "asked"},
		{"cannot create 'p/no/a': parent does not exist\n", NotFound, "asked"},
		{"Cannot get properties of x: no such pool available.\n", NotFound, "asked"},
		{"cannot open 'x': is not a pool\n", NotFound, "x"},
		{"cannot create 'p/a': dataset already exists\n", Exists, "asked"},
		{"cannot create snapshot 'p/a@s': dataset already exists\nno snapshots were created\n", Exists, "asked"},
		{"cannot promote 'p/b': conflicting snapshot '1' from parent 'p/a@1'\n", Exists, "asked"},
		{"cannot rename 'p/a': dataset is busy\n", Busy, "asked"},
		{"cannot set property for 'p': permission denied\n", Denied, "asked"},
		{"cannot create snapshots : permission denied\n", Denied, "asked"},
		{"Permission denied the ZFS utilities must be run as root.\n", Denied, "asked"},
		{"Channel program execution failed:\nPermission denied. Channel programs must be run as root.\n", Denied, "asked"},
		{"cannot create 'p/a': out of space\n", NoSpace, "asked"},
		{"cannot open 'p/a: dataset does not exist': something else\n", Unknown, "p/a: dataset does not exist"},
		{"note: dataset is busy, cannot tell\n", Unknown, "asked"},
		{"", Unknown, "asked"},
	} {
		err := refused("verb", "asked", &command.Error{Argv: []string{"zfs"}, Stderr: c.stderr, Err: errors.New("exit status 1")})
		assert.True(t, Is(err, c.want), "%q: %v", c.stderr, err)
		e, ok := errors.AsType[*Error](err)
		require.True(t, ok)
		assert.Equal(t, c.name, e.Name, c.stderr)
		assert.ErrorContains(t, err, strings.TrimSpace(strings.SplitN(c.stderr, "\n", 2)[0]), "ZFS's own words")
	}
}

func TestRefusalsOfTheScript(t *testing.T) {
	for answer, want := range map[string]string{
		`{}`: "",
		`{"return":{"name":"p/a","reason":"notfound","code":2,"by":""}}`:     `zfs destroy "p/a": dataset does not exist`,
		`{"return":{"name":"p/a","reason":"busy","code":16,"by":""}}`:        `zfs destroy "p/a": dataset is busy`,
		`{"return":{"name":"p/a","reason":"dependents","by":"p/a@s"}}`:       `zfs destroy "p/a": "p/a@s" depends on it`,
		`{"return":{"name":"p/b","reason":"exists","by":"p/b@1"}}`:           `zfs destroy "p/b": snapshot "p/b@1" is there already`,
		`{"return":{"name":"p/b","reason":"nospace","code":28}}`:             `zfs destroy "p/b": out of space`,
		`{"return":{"name":"p/b","reason":"ZFS refused","code":22,"by":""}}`: `zfs destroy "p/b": ZFS refused (errno 22)`,
	} {
		s := &said{answer: func(string) (string, string) { return answer, "" }}
		err := NewTools(s).Destroy(t.Context(), Removal{Datasets: []string{"p/a"}})
		if want == "" {
			assert.NoError(t, err)
			continue
		}
		assert.EqualError(t, err, want)
	}
	s := &said{answer: func(string) (string, string) { return "gibberish", "" }}
	assert.Error(t, NewTools(s).Destroy(t.Context(), Removal{Datasets: []string{"p/a"}}))
}

func TestSetWithoutUpdateOption(t *testing.T) {
	s := &said{answer: func(argv string) (string, string) {
		if strings.HasPrefix(argv, "zfs set -u") {
			return "", "invalid option 'u'\nusage:\n\tset <property=value> ... <filesystem|volume|snapshot> ...\n"
		}
		return "", ""
	}}
	require.NoError(t, NewTools(s).Set(t.Context(), []Change{{Dataset: "p/a", Set: Props{"mountpoint": "/x"}}}))
	assert.Equal(t, []string{"zfs set -u mountpoint=/x p/a", "zfs set mountpoint=/x p/a"}, s.ran)
}

func TestClonesRunSideBySideInLevels(t *testing.T) {
	var mu sync.Mutex
	running, most := 0, 0
	made := map[string]bool{"p": true}
	s := &said{answer: func(argv string) (string, string) {
		target := argv[strings.LastIndexByte(argv, ' ')+1:]
		mu.Lock()
		running++
		most = max(most, running)
		up := target[:strings.LastIndexByte(target, '/')]
		assert.True(t, made[up], "%s before %s", target, up)
		mu.Unlock()
		time.Sleep(2 * time.Millisecond)
		mu.Lock()
		running--
		made[target] = true
		mu.Unlock()
		if target == "p/n/c3/bad" {
			return "", "cannot create: something\n"
		}
		return "", ""
	}}
	var clones []Clone
	for i := range 20 {
		child := fmt.Sprintf("p/n/c%d", i)
		clones = append(clones, Clone{Snapshot: "p/a@s", Target: child + "/x"}, Clone{Snapshot: "p/a@s", Target: child})
	}
	clones = append(clones, Clone{Snapshot: "p/a@s", Target: "p/n"})
	require.NoError(t, NewTools(s).Clone(t.Context(), clones))
	assert.Len(t, made, 42)
	assert.LessOrEqual(t, most, width)
	assert.Greater(t, most, 1)

	err := NewTools(s).Clone(t.Context(), []Clone{
		{Snapshot: "p/a@s", Target: "p/n/c3/bad/never"}, {Snapshot: "p/a@s", Target: "p/n/c3/bad"},
	})
	assert.ErrorContains(t, err, `zfs clone "p/n/c3/bad": `)
	assert.NotContains(t, made, "p/n/c3/bad/never")

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	assert.ErrorIs(t, NewTools(s).Clone(ctx, clones), context.Canceled)
}

func TestPoolsAreSorted(t *testing.T) {
	s := &said{answer: func(string) (string, string) { return "tank\nbpool\n", "" }}
	pools, err := NewTools(s).Pools(t.Context())
	require.NoError(t, err)
	assert.True(t, slices.IsSorted(pools))
}
