package kafka

import (
	"errors"
	"fmt"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapterkit/wire"
	"github.com/leatgo/leat/internal/mode"
)

// mostFurther is how many bytes [Options].WriteHeaders may add to a record. recordOverheadBytes has
// room for them.
const (
	mostFurther    = 512
	headerOverhead = 8
)

// furtherHeaders calls [Options].WriteHeaders, and checks what it returns. Whatever is wrong
// concerns the event alone.
func furtherHeaders(f func(e leat.Event) ([]leat.Header, error), e leat.Event) (headers []leat.Header, err error) {
	defer func() {
		if v := recover(); v != nil { // whose text may have data
			err = &leat.Error{Code: leat.CodeInternal, Err: fmt.Errorf("Options.WriteHeaders panicked with a %T", v)}
		}
	}()
	if headers, err = f(e); err != nil {
		if own, ok := errors.AsType[*leat.Error](err); ok && own.Code != leat.CodeUnknown {
			return nil, err
		}
		return nil, &leat.Error{Code: leat.CodeInvalid, Err: err} // unknown would say that the event may be stored
	}
	size := 0
	for _, h := range headers {
		if size += headerOverhead + len(h.Name) + len(h.Value); size > mostFurther {
			return nil, &leat.Error{Code: leat.CodeTooLarge, Err: fmt.Errorf("Options.WriteHeaders returned more than %d bytes", mostFurther)}
		}
		if h.Name == "" || mode.HasPrefix(h.Name, binding().Prefix) || mode.Equal(h.Name, contentTypeHeader) ||
			mode.Equal(h.Name, wire.TraceParent) || mode.Equal(h.Name, wire.TraceState) {
			err = fmt.Errorf("Options.WriteHeaders returned the header %q, which is Leat's own", h.Name)
			return nil, &leat.Error{Code: leat.CodeInvalid, Err: err}
		}
	}
	return headers, nil
}
