package schema_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/schema"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// slowRegistry takes a second for each call, and remembers it.
type slowRegistry struct {
	schema.Reader

	mu    sync.Mutex
	calls map[string]int
}

func (r *slowRegistry) asked(what string) {
	time.Sleep(time.Second)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls[what]++
}

func (r *slowRegistry) ByRef(ctx context.Context, ref schema.Ref) (*schema.Schema, error) {
	r.asked(ref.String())
	return r.Reader.ByRef(ctx, ref)
}

func (r *slowRegistry) ByID(ctx context.Context, subject string, id int) (*schema.Schema, error) {
	r.asked(fmt.Sprint(subject, " ", id))
	return r.Reader.ByID(ctx, subject, id)
}

func (r *slowRegistry) ByGUID(ctx context.Context, subject, guid string) (*schema.Schema, error) {
	r.asked(subject + " " + guid)
	return r.Reader.ByGUID(ctx, subject, guid)
}

// However many goroutines publish and handle events at once, the registry is asked once for each
// schema that is new, and never again.
func TestRegistryCalls(t *testing.T) {
	m, err := schema.NewMemory(&schema.MemoryOptions{Formats: []schema.Format{converting{}}, Level: schema.None})
	require.NoError(t, err)
	for _, text := range []string{"10", "20"} {
		_, err := m.Register(t.Context(), "orders", schema.Definition{Format: converting{}.Name(), Text: text})
		require.NoError(t, err)
	}
	published := func(e *schema.Enforcer, event leat.Event) (err error) {
		next := func(_ context.Context, _ string, _ []leat.Event, done func(i int, err error)) { done(0, nil) }
		e.Publish()(next)(context.Background(), "orders", []leat.Event{event}, func(_ int, outcome error) { err = outcome })
		return err
	}
	processed := func(e *schema.Enforcer, event leat.Event) error {
		_, err := process(e, event)
		return err
	}
	older := version(t, m, "orders", 1)
	newer := version(t, m, "orders", 2)
	newest := fmt.Sprint("orders ", newer.ID)
	id, guid := fmt.Sprint("orders ", older.ID), "orders "+older.GUID
	bare := event(t, "1", "ok")
	named := bare.WithDataSchema(base + "/orders/versions/1")
	hasGUID := bare.WithDataSchema(base + "/guids/" + older.GUID)
	for name, c := range map[string]struct {
		do    func(e *schema.Enforcer, event leat.Event) error
		event leat.Event
		want  []string // asked for
	}{
		"publish of the pinned version":          {published, bare, []string{"orders/2"}},
		"publish of another version":             {published, named, []string{"orders/1"}},
		"publish with a GUID":                    {published, hasGUID, []string{guid, "orders/1"}},
		"an event of the pinned version":         {processed, bare.WithDataSchema(base + "/orders/versions/2"), []string{"orders/2"}},
		"an event with the pin's number":         {processed, event(t, "1", prefix(newer.ID)+"ok"), []string{newest, "orders/2"}},
		"an event that is converted":             {processed, named, []string{"orders/1", "orders/2"}},
		"an event with a number that converts":   {processed, event(t, "1", prefix(older.ID)+"ok"), []string{id, "orders/1", "orders/2"}},
		"an event with a GUID that is converted": {processed, hasGUID, []string{guid, "orders/1", "orders/2"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := &slowRegistry{Reader: m, calls: map[string]int{}}
				e, err := schema.NewEnforcer(r, &schema.EnforcerOptions{
					Formats: []schema.Format{converting{}}, Base: base, Pins: pinned(2), ReadPrefix: true,
				})
				require.NoError(t, err)
				var wg sync.WaitGroup
				for range 64 {
					wg.Go(func() {
						for range 10 {
							assert.NoError(t, c.do(e, c.event))
						}
					})
				}
				wg.Wait()
				want := map[string]int{}
				for _, schema := range c.want {
					want[schema] = 1
				}
				assert.Equal(t, want, r.calls)
				time.Sleep(24 * time.Hour)
				require.NoError(t, c.do(e, c.event))
				assert.Equal(t, want, r.calls, "a schema that is known is not asked for again")
			})
		})
	}
}
