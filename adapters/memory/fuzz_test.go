package memory_test

import (
	"context"
	"net/url"
	"testing"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/memory"
)

// FuzzOpen opens brokers by URL: each gives a broker that works and has the limits that were asked
// for, or an error that says so.
func FuzzOpen(f *testing.F) {
	for _, s := range []string{
		"mem://", "mem:", "mem:///", "mem://?buffer=1&buffer_bytes=1&no_history=true&history_bytes=1&max_event_bytes=1" +
			"&lease_duration=1ns&full_timeout=1h",
		"mem://?buffer=1&buffer=2", "mem://?buffer=0", "mem://?buffer=-1", "mem://?buffer=9223372036854775808", "mem://?buffer=0x10",
		"mem://?history=%2B1", "mem://?lease_duration=1e9s", "mem://?lease_duration=9999999h", "mem://?lease_duration=-1s",
		"mem://?provision=CREATE", "mem://?provision=",
		"mem://?%ff=1", "mem://?a;b", "mem://host", "mem://u:p@", "mem:opaque", "mem://#f", "mem://?buffer=%D9%A1", "mem://?Buffer=1",
	} {
		f.Add(s)
	}
	e, err := leat.NewEvent("t", &leat.EventOptions{ID: "1", Source: "/s"})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string) {
		u, err := url.Parse(text)
		if err != nil {
			return
		}
		b, err := memory.Open(context.Background(), u)
		if err != nil {
			if leat.CodeOf(err) != leat.CodeInvalid || b != nil {
				t.Fatalf("%v beside %v", b, err)
			}
			return
		}
		defer func() {
			if err := b.Close(); err != nil {
				t.Fatal(err)
			}
		}()
		calls := 0
		b.Publish(context.Background(), "t", []leat.Event{e}, func(_ int, err error) {
			calls++
			fits := e.Size() <= b.Limits().MaxEventBytes
			create := u.Query().Get("provision") == "" || u.Query().Get("provision") == "create"
			if want := fits && create; want != (err == nil) {
				t.Fatalf("fits: %t, the topic is created: %t, and the publish ended with %v", fits, create, err)
			}
		})
		if calls != 1 {
			t.Fatalf("done was called %d times", calls)
		}
	})
}
