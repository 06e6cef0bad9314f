package incidents_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leatgo/leat/internal/incidents"
	"github.com/stretchr/testify/assert"
)

// written is where a Logger of a test writes.
type written struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (w *written) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.buf.Write(p)
}

// lines returns what was written since the last call.
func (w *written) lines() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	defer w.buf.Reset()
	return strings.Fields(strings.ReplaceAll(w.buf.String(), " ", ","))
}

func newLog(level slog.Level) (*incidents.Log, *written) {
	w := &written{}
	withoutTime := func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey || a.Key == slog.LevelKey {
			return slog.Attr{}
		}
		return a
	}
	logger := slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: level, ReplaceAttr: withoutTime}))
	return &incidents.Log{Logger: logger, Topic: "t", Group: "g"}, w
}

func numbers(n ...any) func() []any { return func() []any { return n } }

func TestLogIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, w := newLog(slog.LevelInfo)
		line := &incidents.Line{Level: slog.LevelInfo, Message: "m", Attributes: "n empty none", Most: 2}
		for i := range 5 {
			log.Note(line, "", numbers(i, "", nil))
		}
		assert.Equal(t, []string{"msg=m,topic=t,group=g,n=0", "msg=m,topic=t,group=g,n=1"}, w.lines())
		time.Sleep(incidents.Period)
		synctest.Wait()
		assert.Equal(t, []string{"msg=m,topic=t,group=g,n=4,more=2"}, w.lines(), "the newest, and how many more")
		time.Sleep(10 * incidents.Period)
		synctest.Wait()
		assert.Empty(t, w.lines())

		for i := range 4 {
			log.Note(line, "", numbers(i, "", nil))
		}
		log.Flush()
		assert.Equal(t, []string{"msg=m,topic=t,group=g,n=0", "msg=m,topic=t,group=g,n=1", "msg=m,topic=t,group=g,n=3,more=1"}, w.lines())
		time.Sleep(incidents.Period)
		synctest.Wait()
		assert.Empty(t, w.lines(), "nothing is written after Flush")
	})
}

// After the end of a run, lines are written by Note alone: no timer outlives Flush.
func TestNoTimerOutlivesFlush(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, w := newLog(slog.LevelInfo)
		line := &incidents.Line{Level: slog.LevelInfo, Message: "m", Attributes: "n", Most: 1}
		log.Flush()
		for i := range 3 {
			log.Note(line, "", numbers(i))
		}
		assert.Equal(t, []string{"msg=m,topic=t,group=g,n=0"}, w.lines())
		time.Sleep(2 * incidents.Period)
		synctest.Wait()
		assert.Empty(t, w.lines())

		log.Open()
		for i := range 3 {
			log.Note(line, "", numbers(i))
		}
		assert.Equal(t, []string{"msg=m,topic=t,group=g,n=0,more=2"}, w.lines(), "with what came between the runs")
		time.Sleep(incidents.Period)
		synctest.Wait()
		assert.Equal(t, []string{"msg=m,topic=t,group=g,n=2,more=1"}, w.lines())
	})
}

func TestKindsAreCountedApart(t *testing.T) {
	synctest.Test(t, func(*testing.T) {
		log, w := newLog(slog.LevelInfo)
		line := &incidents.Line{Level: slog.LevelInfo, Message: "m", Attributes: "n", Most: 1}
		for range 2 {
			for i := range 50 {
				log.Note(line, fmt.Sprint(i), numbers(i))
			}
		}
		assert.Len(t, w.lines(), 21, "20 kinds, and one for the others")
		log.Flush()
		assert.Len(t, w.lines(), 21)
	})
}

func TestNobodyGathersWhatIsNotRead(t *testing.T) {
	off := &incidents.Log{}
	assert.True(t, off.Off())
	log, w := newLog(slog.LevelError)
	gathered := false
	for _, l := range []*incidents.Log{off, log} {
		l.Note(&incidents.Line{Level: slog.LevelInfo}, "", func() []any { gathered = true; return nil })
		l.Flush()
	}
	assert.False(t, gathered)
	assert.Empty(t, w.lines())
}
