package foreign

import (
	"cmp"
	"errors"
	"net/url"
	"time"

	"github.com/leatgo/leat"
)

// tombstoneType is the default of LenientOptions.Tombstone.
const tombstoneType = "leat.tombstone.v1"

// isTombstone reports whether a message says that its key is gone: a Kafka record with a key, a
// null value and no attribute.
func isTombstone(m Message) bool {
	plain := m.Err == nil || errors.Is(m.Err, ErrPlain)
	return plain && m.Properties == nil && m.Body == nil && len(m.Key) > 0 && len(headersOf(m).found) == 0
}

// tombstoneEvent is what a tombstone becomes: an event without data. Its id is the place of the
// record, which is the same at every delivery, and its partitionkey is the key that is gone. Id and
// source are those of [Plain].
func tombstoneEvent(m Message, eventType string) (leat.Event, error) {
	r := &repair{}
	r.add(attrVersion, "1.0")
	r.add(attrID, cmp.Or(m.ID, m.Position.String()))
	r.add(attrSource, "/"+url.PathEscape(m.Topic))
	r.add(attrType, eventType)
	if !m.Time.IsZero() {
		r.add(attrTime, m.Time.UTC().Format(time.RFC3339Nano))
	}
	r.notes.kept(noteMessage, "a tombstone: a key without a value")
	withKey := *r
	withKey.add("partitionkey", string(m.Key))
	if e, err := withKey.finish(); err == nil {
		return e, nil
	}
	r.notes.add("partitionkey", "left out, as the key is not a text", string(m.Key))
	return r.finish()
}
