package cloudevents_test

import (
	"math/rand/v2"
	"time"

	"github.com/leatgo/leat"
)

// generator makes events of every attribute type, with values that formats like to lose.
type generator struct{ *rand.Rand }

func newGenerator(seed uint64) generator { return generator{rand.New(rand.NewPCG(seed, 7))} }

func (g generator) pick(of ...string) string { return of[g.IntN(len(of))] }

func (g generator) text(most int) string {
	runes := []rune("abcXYZ019 %\"\\<>&'=;,/é日🚀\u00a0\u2028")
	s := make([]rune, g.IntN(most+1))
	for i := range s {
		s[i] = runes[g.IntN(len(runes))]
	}
	return string(s)
}

func (g generator) bytes(most int) []byte {
	b := make([]byte, g.IntN(most+1))
	for i := range b {
		b[i] = byte(g.Uint32())
	}
	return b
}

func (g generator) time() time.Time {
	zone := time.UTC
	if g.IntN(2) == 0 {
		zone = time.FixedZone("", 60*(g.IntN(24*60)-12*60))
	}
	return time.Unix(g.Int64N(8e9)-2e9, g.Int64N(2)*g.Int64N(1e9)).In(zone)
}

// Among URIs and texts a few are such that the SDK changes or refuses them.
func (g generator) uri() string {
	if g.IntN(20) == 0 {
		return g.pick("HTTP://A@b:1/", "https://h/?", "https://h:/", "https://h/#")
	}
	return g.pick("urn:x", "http://A@b:1/%7e?q", "mailto:a@b", "https://a.example/b%20c?d=e%2Ff", "x:y", "a+b.c://[::1]:80/")
}

func (g generator) reference() string {
	return g.pick("/a", "a", "?", "#f", "../%2e", "//h", "//h:1/x", "/a%2Fb/c", "", "?a=b&c", "./a:b", g.uri(), g.uri())
}

func (g generator) trimmed(most int) string {
	if g.IntN(20) == 0 {
		return g.text(most)
	}
	return "<" + g.text(most) + ">"
}

func (g generator) value() any {
	switch g.IntN(8) {
	case 0:
		return g.IntN(2) == 0
	case 1:
		return int32(g.Uint32())
	case 2:
		return g.bytes(20)
	case 3:
		return leat.URI(g.uri())
	case 4:
		return leat.URIRef(g.reference())
	case 5:
		return g.time()
	}
	return g.text(8)
}

func (g generator) name() string {
	b := make([]byte, 1+g.IntN(19))
	for i := range b {
		b[i] = "abcdefghijklmnopqrstuvwxyz0123456789"[g.IntN(36)]
	}
	b[0] = 'x' // no name of an attribute begins with it
	return string(b)
}

func (g generator) data() []byte {
	switch g.IntN(8) {
	case 0:
		return nil
	case 1:
		return []byte{}
	case 2:
		return []byte(g.pick("null", `""`, "{}", "[1,2]", `{"a":1.50,"b":"\u00e9"}`, " {} ", "{", "1e5", `{"a": 1}`, "\"\xff\"", "<x>&amp;</x>"))
	case 3:
		return []byte(g.text(40))
	case 4:
		return g.bytes(4000)
	}
	return g.bytes(50)
}

// event makes an event as an application does, or one that only another producer can have made.
func (g generator) event() leat.Event {
	o := &leat.EventOptions{
		ID: "i" + g.trimmed(5), Source: g.reference(), Time: g.time(), Data: g.data(), Subject: g.trimmed(5), Key: g.text(5),
		DataContentType: g.pick("", "application/json", "text/plain; charset=utf-8", "a/b", `Application/X+JSON; a="b;c"`, "application/xml",
			"text/json", "image/png"),
	}
	if g.IntN(50) == 0 {
		o.DataContentType = "a/b;c=1;c=2"
	}
	if g.IntN(4) == 0 {
		o.DataSchema = g.uri()
	}
	if n := g.IntN(12); n > 2 {
		o.Extensions = map[string]any{}
		for range n - 2 {
			o.Extensions[g.name()] = g.value()
		}
	}
	e, err := leat.NewEvent("t"+g.trimmed(5), o)
	if err != nil {
		return g.event() // such as one without a source; those are published by a Producer that has one
	}
	if e.Validate() != nil {
		return g.event()
	}
	return e
}
