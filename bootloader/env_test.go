package bootloader

import (
	"bytes"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const (
	uuid1 = "00000000-0000-4000-8000-000000000001"
	uuid2 = "00000000-0000-4000-8000-000000000002"
)

func envBlock(text string) []byte {
	b := bytes.Repeat([]byte{'#'}, envSize)
	copy(b, text)
	return b
}

// envs are some that there can be, the longest among them.
func envs() []Env {
	return []Env{
		{},
		{Generation: 1},
		{Trial: uuid1, Generation: 41},
		{Tried: uuid2, Generation: MaxGeneration},
		{Trial: strings.Repeat("a", 64), Tried: strings.Repeat("b", 64), Generation: MaxGeneration},
	}
}

func TestEnvRoundTrip(t *testing.T) {
	for _, e := range envs() {
		text, err := encodeEnv(e)
		require.NoError(t, err)
		require.Len(t, text, envSize)
		require.Equal(t, strings.Repeat("#", envSize-sector), string(text[sector:]), "all is in the first sector")
		back, err := parseEnv(text)
		require.NoError(t, err)
		require.Equal(t, e, back)
	}
}

func TestEnvRefuses(t *testing.T) {
	for text, e := range map[string]Env{
		`malformed uuid "a b" of the BE to be tried`:     {Trial: "a b"},
		`malformed uuid "a\nb" of the BE that was tried`: {Tried: "a\nb"},
		"generation 2147483648 is more than 2147483647":  {Generation: MaxGeneration + 1},
	} {
		_, err := encodeEnv(e)
		require.ErrorContains(t, err, text)
	}
}

func TestArmForgetsWhatWasTried(t *testing.T) {
	require.Equal(t, Env{Trial: uuid1, Generation: 7}, Env{Trial: uuid2, Tried: uuid1, Generation: 7}.Arm(uuid1))
}

func TestParseEnv(t *testing.T) {
	cases := map[string]struct {
		block []byte
		want  Env
		err   string
	}{
		"nothing set":    {envBlock(envSignature), Env{}, ""},
		"others too":     {envBlock(envSignature + "saved_entry=x\\\ny\\\\\nsnapbe_trial=" + uuid1 + "\n"), Env{Trial: uuid1}, ""},
		"last wins":      {envBlock(envSignature + "snapbe_generation=1\nsnapbe_generation=2\n"), Env{Generation: 2}, ""},
		"comment":        {envBlock(envSignature + "#snapbe_trial=" + uuid1 + "\n"), Env{}, ""},
		"cleared":        {envBlock(envSignature + "snapbe_trial=\nsnapbe_generation=\n"), Env{}, ""},
		"escaped":        {envBlock(envSignature + "snapbe_trial=a\\b\n"), Env{Trial: "ab"}, ""},
		"hidden in one":  {envBlock(envSignature + "x=\\\nsnapbe_trial=" + uuid1 + "\n"), Env{}, ""},
		"no line's end":  {envBlock(envSignature + "snapbe_trial=" + uuid1), Env{}, ""},
		"empty":          {nil, Env{}, `0 bytes that begin with ""`},
		"zeros":          {make([]byte, envSize), Env{}, "1024 bytes that begin with"},
		"short":          {envBlock(envSignature)[:512], Env{}, "512 bytes"},
		"long":           {append(envBlock(envSignature), '#'), Env{}, "1025 bytes"},
		"uuid":           {envBlock(envSignature + "snapbe_trial=a b\nsnapbe_generation=3\n"), Env{Generation: 3}, `snapbe_trial is "a b"`},
		"generation":     {envBlock(envSignature + "snapbe_generation=x\nsnapbe_trial=a\n"), Env{Trial: "a"}, "invalid syntax"},
		"big generation": {envBlock(envSignature + "snapbe_generation=2147483648\n"), Env{}, "out of range"},
		"negative":       {envBlock(envSignature + "snapbe_generation=-1\n"), Env{}, "invalid syntax"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := parseEnv(c.block)
			require.Equal(t, c.want, got)
			if c.err == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorIs(t, err, ErrEnvDamaged)
			require.ErrorContains(t, err, c.err)
		})
	}
}

// editenv runs GRUB's own tool on a block.
func editenv(t *testing.T, text []byte, args ...string) (out string, after []byte) {
	t.Helper()
	name := filepath.Join(t.TempDir(), "grubenv")
	require.NoError(t, os.WriteFile(name, text, 0o600))
	said, err := exec.Command("grub-editenv", append([]string{name}, args...)...).CombinedOutput()
	require.NoErrorf(t, err, "grub-editenv (Debian package grub-common): %s", said)
	after, err = os.ReadFile(name)
	require.NoError(t, err)
	return string(said), after
}

// TestEnvAgreesWithGRUB: GRUB's tool reads what snapbe writes, and the other
// way about, with what GRUB's save_env would have done to it in between.
func TestEnvAgreesWithGRUB(t *testing.T) {
	for _, e := range envs() {
		text, err := encodeEnv(e)
		require.NoError(t, err)
		want := strings.TrimPrefix(string(bytes.TrimRight(text, "#")), envSignature)
		listed, _ := editenv(t, text, "list")
		require.Equal(t, want, listed)

		long := strings.Repeat("c", 64)
		_, after := editenv(t, text, "set", envTrial+"=", envTried+"="+long)
		require.Equal(t, strings.Repeat("#", envSize-sector), string(after[sector:]), "and stays in the first sector")
		back, err := parseEnv(after)
		require.NoError(t, err)
		require.Equal(t, Env{Tried: long, Generation: e.Generation}, back)

		_, after = editenv(t, text, "unset", envTrial)
		back, err = parseEnv(after)
		require.NoError(t, err)
		require.Equal(t, Env{Tried: e.Tried, Generation: e.Generation}, back)
	}
	_, made := editenv(t, nil, "create")
	empty, err := parseEnv(made)
	require.NoError(t, err)
	require.Equal(t, Env{}, empty)
	_, made = editenv(t, made, "set", `odd=a\b`+"\nc", envTrial+"="+uuid1, envGeneration+"=5")
	got, err := parseEnv(made)
	require.NoError(t, err)
	require.Equal(t, Env{Trial: uuid1, Generation: 5}, got)
}

// TestParseEnvAgreesWithGRUB: of a damaged block, too, snapbe reads what GRUB
// reads, since a trial that GRUB sees and snapbe does not would boot unasked.
func TestParseEnvAgreesWithGRUB(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	parts := []string{envTrial, envTrial + "=", "=", "\\", "\n", "\n", "#", "a", " ", envTrial + "=a\n"}
	armed := 0
	for range 100 {
		var text strings.Builder
		for range 1 + rng.IntN(8) {
			text.WriteString(parts[rng.IntN(len(parts))])
		}
		block := envBlock(envSignature + text.String())
		listed, _ := editenv(t, block, "list")
		var read strings.Builder
		for name, value := range envVariables(block[len(envSignature):]) {
			read.WriteString(name + "=" + value + "\n")
		}
		require.Equal(t, listed, read.String(), "%q", text.String())
		if e, _ := parseEnv(block); e.Trial != "" {
			armed++
		}
	}
	require.Greater(t, armed, 5)
}

// FuzzParseEnv gives it what a FAT that anybody can write to may hold.
func FuzzParseEnv(f *testing.F) {
	for _, e := range envs() {
		text, err := encodeEnv(e)
		require.NoError(f, err)
		f.Add(string(text[len(envSignature):]))
	}
	f.Add("x=\\")
	f.Add("snapbe_trial=a\\\\\\\n\nb\n=\n\\\n")
	f.Fuzz(func(t *testing.T, text string) {
		_, err := parseEnv([]byte(text))
		require.ErrorIs(t, err, ErrEnvDamaged, "it has no signature")
		e, err := parseEnv(envBlock(envSignature + text)[:envSize])
		if err != nil {
			require.ErrorIs(t, err, ErrEnvDamaged)
		}
		again, err := encodeEnv(e)
		require.NoError(t, err, "what is read can be written")
		back, err := parseEnv(again)
		require.NoError(t, err)
		require.Equal(t, e, back)
	})
}
