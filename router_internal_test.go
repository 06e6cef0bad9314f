package leat

import (
	"context"
	"testing"
	"time"
)

// The mark is read by the engine alone, so this test looks inside.
func TestRouterMarksWhatItSkips(t *testing.T) {
	handled := HandlerFunc(func(context.Context, Event) error { return nil })
	for _, c := range []struct {
		name    string
		routes  []Route
		skipped bool
	}{
		{"handled", []Route{{Type: "a", Handler: handled}}, false},
		{"skipped", []Route{{Type: "b", Handler: handled}}, true},
		{"caught", []Route{{Type: AnyType, Handler: handled}}, false},
		{"rejected", []Route{RejectUnhandled()}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			e, err := NewEvent("a", &EventOptions{ID: "1", Source: "/test"})
			if err != nil {
				t.Fatal(err)
			}
			a := &attempt{rare: &attemptRare{fixed: &Info{Attempt: 1}}}
			// The mark must be found through the contexts that middleware derives.
			ctx, cancel := context.WithTimeout(context.WithValue(t.Context(), attemptKey{}, a), time.Minute)
			defer cancel()
			_ = NewRouter(c.routes...).Handle(ctx, e)
			if a.skipped != c.skipped {
				t.Errorf("the attempt is marked as skipped: %v, want %v", a.skipped, c.skipped)
			}
		})
	}
}

func TestConsumerSeesTheRouterAsChecker(t *testing.T) {
	if _, ok := Handler(NewRouter()).(subscriptionChecker); !ok {
		t.Error("a Consumer finds Check by a type assertion on its Handler")
	}
}
