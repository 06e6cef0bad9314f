package schema

import (
	"context"
	"fmt"

	"github.com/leatgo/leat"
)

// versions are that of the writer and the pinned one.
type versions struct{ writer, reader Ref }

// conversion is the way from one to the other.
type conversion struct {
	uri     string                                         // of the reader
	convert func(contentType, data string) ([]byte, error) // nil where data is read as it is
}

// converter prepares a conversion for the cache.
func (f *Enforcer) converter(ctx context.Context, k versions) (l loaded[*conversion], err error) {
	l.size = len(k.writer.Subject) + len(k.reader.Subject)
	w, err := f.compiled.get(ctx, k.writer)
	if err != nil {
		return l, err
	}
	r, err := f.compiled.get(ctx, k.reader)
	if err != nil {
		return l, err
	}
	l.value = &conversion{uri: r.uri}
	if c, ok := w.format.(Converter); ok && r.format.Name() == w.format.Name() {
		if l.value.convert, err = c.Convert(w.bundle, r.bundle); err != nil {
			err = fmt.Errorf("schema %v cannot read what %v has written: %w", k.reader, k.writer, err)
			return l, fail("convert", leat.CodeInvalid, err)
		}
	}
	l.size += len(w.bundle.Text) + len(r.bundle.Text)
	return l, nil
}

// convert returns an event with data of the version to which its type is pinned, where it has
// another one and its format needs that. done is false where the event stays as it is.
func (f *Enforcer) convert(
	ctx context.Context, topic string, e leat.Event, says claim,
) (converted leat.Event, done bool, err error) {
	if !says.ofPin() || says.own == says.pin || !e.HasData() {
		return e, false, nil
	}
	k, err := f.converts.get(ctx, versions{says.own, says.pin})
	if err != nil {
		return e, false, refusal("handle", topic, e, leat.CodeOf(err), err)
	}
	if k.convert == nil {
		return e, false, nil
	}
	data, err := k.convert(e.DataContentType(), e.DataString())
	if err != nil {
		err = fmt.Errorf("the data does not match schema %v, or cannot be made that of %v: %w", says.own, says.pin, err)
		return e, false, refusal("handle", topic, e, leat.CodeInvalid, err)
	}
	return e.WithData(e.DataContentType(), data).WithDataSchema(k.uri), true, nil
}
