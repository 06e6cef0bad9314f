package schema

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/internal/nils"
	"github.com/leatgo/leat/internal/ranges"
)

// CacheOptions are the options of [Cached]. The zero value works.
type CacheOptions struct {
	// Bytes bounds the cache. 0 means 64 MiB.
	Bytes int
	// Latest is how long the answer to version 0, the latest one, counts. A version never changes,
	// and is kept as long as there is room. 0 means 1 minute.
	Latest time.Duration
	// Timeout bounds a call of the Reader. 0 means 10 s.
	Timeout time.Duration
}

// Cached returns a Reader that remembers what r has answered. Goroutines that want the same schema
// at the same time make one call. That a schema does not exist counts for 30 s. After another error
// r is not asked for that schema for 1 s, in which everybody gets the error. Where there is an
// older answer, they get that instead, after 1 s at the latest. With 1,000 answers that a schema
// does not exist, r is asked for no more until 30 s are over.
//
// An [Enforcer] has a cache of its own, and needs none.
func Cached(r Reader, o *CacheOptions) (Reader, error) {
	if o == nil {
		o = &CacheOptions{}
	}
	if err := cmp.Or(
		ranges.Int("CacheOptions.Bytes", o.Bytes, 1, 1<<40),
		ranges.Duration("CacheOptions.Latest", o.Latest, time.Millisecond, longest),
		ranges.Duration("CacheOptions.Timeout", o.Timeout, time.Millisecond, longest),
	); err != nil {
		return nil, fail("open", leat.CodeInvalid, err)
	}
	if nils.Is(r) {
		return nil, fail("open", leat.CodeInvalid, errNoReader)
	}
	c := &cachedReader{reader: r, latest: cmp.Or(o.Latest, time.Minute)}
	c.answers = newCache(cmp.Or(o.Bytes, defaultBytes), cmp.Or(o.Timeout, defaultTimeout), c.load)
	return c, nil
}

const (
	defaultBytes   = 64 << 20
	defaultTimeout = 10 * time.Second
	longest        = 365 * 24 * time.Hour
)

// key is a question to a Reader.
type key struct {
	about question
	ref   Ref
	id    int
	guid  string
}

type question uint8

const (
	byRef question = iota
	byID
	byGUID
)

type cachedReader struct {
	reader  Reader
	latest  time.Duration
	answers *cache[key, *Schema]
}

func (c *cachedReader) ByRef(ctx context.Context, r Ref) (*Schema, error) {
	return c.answers.get(ctx, key{about: byRef, ref: r})
}

func (c *cachedReader) ByID(ctx context.Context, subject string, id int) (*Schema, error) {
	return c.answers.get(ctx, key{about: byID, ref: Ref{Subject: subject}, id: id})
}

func (c *cachedReader) ByGUID(ctx context.Context, subject, guid string) (*Schema, error) {
	return c.answers.get(ctx, key{about: byGUID, ref: Ref{Subject: subject}, guid: guid})
}

func (c *cachedReader) load(ctx context.Context, k key) (l loaded[*Schema], err error) {
	l.size = len(k.ref.Subject) + len(k.guid)
	l.value, err = k.ask(ctx, c.reader)
	if k.about == byRef && k.ref.Version == 0 {
		l.lasts = c.latest
	}
	if err != nil {
		return l, err
	}
	l.size += len(l.value.Text)
	return l, nil
}

// ask puts the question to a Reader.
func (k key) ask(ctx context.Context, r Reader) (s *Schema, err error) {
	switch k.about {
	case byGUID:
		s, err = r.ByGUID(ctx, k.ref.Subject, k.guid)
	case byID:
		s, err = r.ByID(ctx, k.ref.Subject, k.id)
	default:
		s, err = r.ByRef(ctx, k.ref)
	}
	if err == nil && s == nil {
		err = errNoSchema
	}
	return s, err
}

var errNoSchema = fail("find schema", leat.CodeInternal, errors.New("the Reader has returned neither a schema nor an error"))
