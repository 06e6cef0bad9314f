package fault_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapterkit/fault"
)

func TestCode(t *testing.T) {
	alert := func(number uint8) error { return &net.OpError{Op: "remote error", Err: tls.AlertError(number)} }
	for _, c := range []struct {
		err  error
		want leat.Code
	}{
		{fmt.Errorf("x: %w", &leat.Error{Code: leat.CodeConflict, Err: context.Canceled}), leat.CodeConflict},
		{alert(42), leat.CodeUnauthenticated},
		{alert(116), leat.CodeUnauthenticated},
		{alert(80), leat.CodeUnavailable},
		{context.Canceled, leat.CodeCanceled},
		{fmt.Errorf("x: %w", context.DeadlineExceeded), leat.CodeCanceled},
		{&net.OpError{Op: "dial", Err: context.DeadlineExceeded}, leat.CodeUnavailable},
		{&net.OpError{Op: "dial", Err: context.Canceled}, leat.CodeCanceled},
		{&tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}}, leat.CodeUnavailable},
		{io.EOF, leat.CodeUnavailable},
	} {
		assert.Equal(t, c.want, fault.Code(c.err), "%v", c.err)
	}
	assert.True(t, fault.IsUntrusted(fmt.Errorf("x: %w", &tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}})))
	assert.True(t, fault.IsUntrusted(tls.RecordHeaderError{}))
	assert.False(t, fault.IsUntrusted(alert(42)))
	assert.True(t, fault.IsAlert(alert(80)))
	assert.False(t, fault.IsAlert(&net.OpError{Op: "dial", Err: io.EOF}))
}

func TestFail(t *testing.T) {
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	err := fault.Fail(ended, "declare", "t", leat.CodeUnavailable, io.EOF)
	assert.Equal(t, leat.CodeCanceled, leat.CodeOf(err))
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorIs(t, err, io.EOF)

	err = fault.Fail(t.Context(), "declare", "t", leat.CodeCanceled, context.DeadlineExceeded)
	assert.Equal(t, leat.CodeUnavailable, leat.CodeOf(err), "nobody answered within the adapter's own timeout")

	own := &leat.Error{Op: "connect", Code: leat.CodeNotFound, Err: io.EOF}
	assert.Equal(t, &leat.Error{Op: "declare", Topic: "t", Code: leat.CodeNotFound, Err: io.EOF},
		fault.Fail(t.Context(), "declare", "t", leat.CodeNotFound, own))
	wrapped := fmt.Errorf("x: %w", own)
	assert.Equal(t, &leat.Error{Op: "declare", Topic: "t", Code: leat.CodeNotFound, Err: wrapped},
		fault.Fail(t.Context(), "declare", "t", leat.CodeNotFound, wrapped), "what is around it says more")
	require.NoError(t, fault.Fail(ended, "declare", "t", leat.CodeNotFound, nil))
	require.NoError(t, fault.Health("t", leat.CodeNotFound, time.Now(), nil))
}

func TestErrorf(t *testing.T) {
	err := fault.Errorf("declare", "t", leat.CodeConflict, "the queue %q: %w", "q", io.EOF)
	require.EqualError(t, err, `leat: declare topic "t": conflict: the queue "q": EOF`)
	require.ErrorIs(t, err, io.EOF)
}

func TestJoin(t *testing.T) {
	require.NoError(t, fault.Join())
	require.NoError(t, fault.Join(nil, nil))
	errs := []error{nil, io.EOF, nil}
	assert.Equal(t, io.EOF, fault.Join(errs...), "one is not wrapped")
	assert.Equal(t, []error{nil, io.EOF, nil}, errs, "the caller's slice is left alone")
	assert.Equal(t, errors.Join(io.EOF, io.ErrUnexpectedEOF), fault.Join(io.EOF, nil, io.ErrUnexpectedEOF))
}

func TestHealth(t *testing.T) {
	since := time.Date(2026, 1, 2, 3, 4, 5, 6, time.FixedZone("", 3600))
	err := fault.Health("t", leat.CodeCanceled, since, &leat.Error{Op: "connect", Code: leat.CodeCanceled, Err: io.EOF})
	require.EqualError(t, err, (&leat.Error{Op: "health", Topic: "t", Code: leat.CodeUnavailable,
		Err: errors.New("EOF, since 2026-01-02T02:04:05Z")}).Error())
	require.ErrorIs(t, err, io.EOF)
}

func TestSymptom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s fault.Symptom
		assert.False(t, s.Within(time.Hour))
		begin := time.Now()
		s.Set(io.EOF)
		time.Sleep(time.Second) // in fake time
		s.Set(io.ErrUnexpectedEOF)
		assert.Equal(t, fault.Symptom{Err: io.ErrUnexpectedEOF, Since: begin, Last: begin.Add(time.Second)}, s)
		time.Sleep(time.Second) // in fake time
		assert.True(t, s.Within(1001*time.Millisecond), "counted from the last error")
		assert.False(t, s.Within(time.Second))
		s.Set(nil)
		require.NoError(t, s.Err)
		s.Set(io.EOF)
		assert.Equal(t, begin.Add(2*time.Second), s.Since, "it begins again")
	})
}

func TestSymptoms(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s fault.Symptoms[int32]
		s.Set(1, nil)
		begin := time.Now()
		for _, part := range []int32{7, 3, 5} {
			s.Set(part, io.EOF)
		}
		s.Set(5, nil)
		time.Sleep(time.Second) // in fake time
		s.Set(7, io.ErrUnexpectedEOF)
		assert.True(t, s.Has(3))
		assert.False(t, s.Has(5))
		var parts []int32
		for part, symptom := range s.All() {
			parts = append(parts, part)
			assert.Equal(t, begin, symptom.Since)
		}
		assert.Equal(t, []int32{3, 7}, parts)
		for range s.All() {
			break // which must not go on
		}
	})
}
