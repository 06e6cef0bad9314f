package confluent

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/schema"
	"github.com/twmb/franz-go/pkg/sr"
)

// The numbers by which a registry says what does not exist.
const (
	numberOfSubject = 40401
	numberOfVersion = 40402
	numberOfSchema  = 40403
)

// fail makes the error of a call. Only the registry's own numbers say that something does not
// exist: a proxy in front of it, or a wrong path, answers with 404 as well.
func fail(ctx context.Context, op string, err error) error {
	answer, ok := errors.AsType[*sr.ResponseError](err)
	if !ok {
		code := leat.CodeUnavailable
		if errors.Is(ctx.Err(), context.Canceled) {
			code = leat.CodeCanceled
		}
		return &leat.Error{Op: op, Code: code, Err: discreet(err)}
	}
	said := said(answer)
	switch answer.ErrorCode {
	case numberOfSubject, numberOfVersion, numberOfSchema:
		return &leat.Error{Op: op, Code: leat.CodeNotFound, Err: said}
	case 40901, http.StatusConflict:
		incompatible := &schema.IncompatibleError{Level: "of the registry", Breaks: []schema.Break{{Text: said.Error()}}}
		return &leat.Error{Op: op, Code: leat.CodeConflict, Err: incompatible}
	}
	code := leat.CodeUnavailable
	switch answer.StatusCode {
	case http.StatusUnauthorized:
		code, said = leat.CodeUnauthenticated, fmt.Errorf("the registry does not accept User and Password, or Token: %w", said)
	case http.StatusForbidden:
		code = leat.CodePermissionDenied
	case http.StatusNotFound:
		said = fmt.Errorf("what answers does not know the path of a registry; correct Options.URLs: %w", said)
	case http.StatusConflict:
		code = leat.CodeConflict
	case http.StatusUnprocessableEntity, http.StatusBadRequest:
		code = leat.CodeInvalid
	case http.StatusTooManyRequests:
		code = leat.CodeExhausted
	}
	return &leat.Error{Op: op, Code: code, Err: said}
}

// mostSaid bounds what is shown of an answer, in bytes.
const mostSaid = 500

func said(answer *sr.ResponseError) error {
	text := strings.Join(strings.Fields(answer.Error()), " ")
	if len(text) > mostSaid {
		text = strings.ToValidUTF8(text[:mostSaid], "") + " ..."
	}
	return fmt.Errorf("the registry answers with status %d: %s", answer.StatusCode, text)
}

// discreet leaves out the URL, which is in the errors of net/http: a redirect may have put a secret
// there.
func discreet(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		return fmt.Errorf("the registry cannot be reached: %w", u.Err)
	}
	if long, ok := errors.AsType[*http.MaxBytesError](err); ok {
		err = fmt.Errorf("the answer has more than %d MiB", long.Limit>>20)
	}
	return fmt.Errorf("the answer of the registry cannot be read: %w", err)
}
