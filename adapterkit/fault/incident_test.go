package fault_test

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/leatgo/leat/adapterkit/fault"
)

// incidentLog returns an Incident, and what reads the lines that it has written since.
func incidentLog() (*fault.Incident, func() []string) {
	var out bytes.Buffer
	h := slog.NewTextHandler(&out, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}})
	return &fault.Incident{Logger: slog.New(h)}, func() []string {
		lines := strings.Split(strings.TrimSpace(out.String()), "\n")
		out.Reset()
		if lines[0] == "" {
			return nil
		}
		return lines
	}
}

func TestIncidentHasOneLineForEachReason(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i, lines := incidentLog()
		i.Well("up")
		assert.Empty(t, lines(), "nothing was wrong")
		for range 600 {
			i.Wrong("down", "lost", io.EOF, slog.String("host", "a"))
			i.Wrong("down", "refused", errors.New("no\nentry"))
			time.Sleep(time.Second) // in fake time
		}
		i.Well("up", slog.String("host", "b"))
		i.Well("up")
		assert.Equal(t, []string{
			`level=WARN msg=down host=a error=EOF`,
			`level=WARN msg=down error="no entry"`,
			`level=INFO msg=up host=b lasted=10m0s`,
		}, lines())
		i.Wrong("down", "lost", io.EOF)
		assert.Equal(t, []string{`level=WARN msg=down error=EOF`}, lines(), "it begins again")
	})
}

func TestIncidentsOfAMinuteAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i, lines := incidentLog()
		for range 100 {
			i.Wrong("down", "lost", io.EOF)
			i.Well("up")
		}
		assert.Len(t, lines(), 20, "each beginning that has a line has an end")

		i.Wrong("down", "lost", io.EOF)
		assert.Empty(t, lines(), "the minute has its lines")
		time.Sleep(time.Minute) // in fake time
		i.Wrong("down", "lost", io.EOF)
		assert.Equal(t, []string{`level=WARN msg=down error=EOF more=90`}, lines(), "it still lasts")
		i.Well("up")
		assert.Equal(t, []string{`level=INFO msg=up lasted=1m0s`}, lines())
	})
}

func TestIncidentCountsWhatComesUpLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i, lines := incidentLog()
		for kind := range strings.SplitSeq("abcdefghijklm", "") {
			i.Wrong("down "+kind, kind, io.EOF)
		}
		assert.Len(t, lines(), 10)
		i.Well("up")
		assert.Equal(t, []string{`level=INFO msg=up lasted=0s more=3`}, lines())
	})
}

func TestIncidentErrorsAreBounded(t *testing.T) {
	i, lines := incidentLog()
	i.Wrong("down", "", errors.New(strings.Repeat("ä", 1<<16)))
	assert.Less(t, len(lines()[0]), 1100)
}

func TestAnIncidentWithoutALoggerWritesNothing(t *testing.T) {
	t.Parallel()
	var i fault.Incident
	i.Wrong("it broke", "kind", errors.New("no"))
	i.Well("it works")
}
