package journal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// memory is a Store, and the world that the steps change.
type memory struct {
	record string
	world  []string
}

func (m *memory) Load(context.Context) (Record, bool, error) {
	if m.record == "" {
		return Record{}, false, nil
	}
	r, err := Decode(m.record)
	return r, true, err
}

func (m *memory) Save(_ context.Context, r Record) (err error) {
	m.record, err = r.Encode()
	return err
}
func (m *memory) Clear(context.Context) error { m.record = ""; return nil }

func (m *memory) has(s string) bool {
	for _, w := range m.world {
		if w == s {
			return true
		}
	}
	return false
}

func (m *memory) put(s string) {
	if !m.has(s) {
		m.world = append(m.world, s)
	}
}

func (m *memory) drop(s string) {
	for i, w := range m.world {
		if w == s {
			m.world = append(m.world[:i:i], m.world[i+1:]...)
			return
		}
	}
}

// operation puts a, b, c, d; c is where it commits. It stops with err before
// step number stop does its work, or just after where late is set.
func (m *memory) operation(stop int, late bool, err error, final bool) Operation {
	op := Operation{Record: Record{ID: "1", Kind: "put", Args: json.RawMessage(`{}`)}}
	for i, name := range []string{"a", "b", "c", "d"} {
		step := Step{Name: name, Do: func(context.Context) error {
			if i == stop && !late {
				return err
			}
			m.put(name)
			if i == stop && late {
				return err
			}
			return nil
		}, Final: final && name == "c"}
		if !step.Final {
			step.Undo = func(context.Context) error { m.drop(name); return nil }
		}
		op.Steps = append(op.Steps, step)
	}
	op.Committed = func(context.Context) (int, bool, error) { return 2, m.has("c"), nil }
	return op
}

func TestRunEndsAfter(t *testing.T) {
	m := &memory{}
	require.NoError(t, Run(t.Context(), m, m.operation(-1, false, nil, false), nil))
	assert.Equal(t, []string{"a", "b", "c", "d"}, m.world)
	assert.Empty(t, m.record)
}

func TestFailedStepUndoesAll(t *testing.T) {
	boom := errors.New("boom")
	for stop := range 4 {
		for _, late := range []bool{false, true} {
			m := &memory{world: []string{"mine"}}
			err := Run(t.Context(), m, m.operation(stop, late, boom, false), nil)
			require.ErrorIs(t, err, boom)
			assert.Equal(t, []string{"mine"}, m.world, "stop %d late %v", stop, late)
			assert.Empty(t, m.record)
		}
	}
}

func TestFailureAfterFinalStepStaysPending(t *testing.T) {
	boom := errors.New("boom")
	m := &memory{}
	err := Run(t.Context(), m, m.operation(3, false, boom, true), nil)
	var pending *PendingError
	require.ErrorAs(t, err, &pending)
	assert.Equal(t, "put", pending.Kind)
	require.NotEmpty(t, m.record)
	out, err := Recover(t.Context(), m, m.operation(-1, false, nil, true), nil)
	require.NoError(t, err)
	assert.Equal(t, Ended, out)
	assert.Equal(t, []string{"a", "b", "c", "d"}, m.world)
	assert.Empty(t, m.record)
}

// A stop is a panic that nothing undoes, as a power cut is.
func TestStopAnywhereThenRecover(t *testing.T) {
	for stop := range 4 {
		for _, late := range []bool{false, true} {
			t.Run(fmt.Sprint(stop, late), func(t *testing.T) {
				m := &memory{}
				op := m.operation(-1, false, nil, false)
				do := op.Steps[stop].Do
				op.Steps[stop].Do = func(ctx context.Context) error {
					if late {
						_ = do(ctx)
					}
					panic("power cut")
				}
				assert.Panics(t, func() { _ = Run(t.Context(), m, op, nil) })
				require.NotEmpty(t, m.record)
				out, err := Recover(t.Context(), m, m.operation(-1, false, nil, false), nil)
				require.NoError(t, err)
				if stop > 2 || stop == 2 && late {
					assert.Equal(t, Ended, out)
					assert.Equal(t, []string{"a", "b", "c", "d"}, m.world)
				} else {
					assert.Equal(t, Undone, out)
					assert.Empty(t, m.world)
				}
				assert.Empty(t, m.record)
			})
		}
	}
}

func TestCancelledContextStillUndoes(t *testing.T) {
	m := &memory{}
	ctx, cancel := context.WithCancel(t.Context())
	op := m.operation(-1, false, nil, false)
	do := op.Steps[1].Do
	op.Steps[1].Do = func(ctx context.Context) error { cancel(); return do(ctx) }
	require.ErrorIs(t, Run(ctx, m, op, nil), context.Canceled)
	assert.Empty(t, m.world)
	assert.Empty(t, m.record)
}

func TestLongRecordIsRefusedBeforeAnyChange(t *testing.T) {
	m := &memory{}
	op := m.operation(-1, false, nil, false)
	op.Record.Args, _ = json.Marshal(strings.Repeat("x", MaxRecord))
	require.Error(t, Run(t.Context(), m, op, nil))
	assert.Empty(t, m.world)
	assert.Empty(t, m.record)
}

func FuzzDecode(f *testing.F) {
	f.Add(`{"id":"1","op":"create","args":{"name":"x"},"at":5}`)
	f.Add(`{`)
	f.Fuzz(func(t *testing.T, text string) {
		r, err := Decode(text)
		if err != nil {
			return
		}
		again, err := r.Encode()
		if err != nil {
			return // escaping can make it longer than it came
		}
		r2, err := Decode(again)
		require.NoError(t, err)
		assert.Equal(t, r.ID, r2.ID)
		assert.Equal(t, r.Kind, r2.Kind)
	})
}
