package brokertest_test

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/leatgo/leat/internal/brokertest"
)

// verdict is a testing.TB that keeps how it was ended.
type verdict struct {
	testing.TB

	skipped, failed string
}

func (v *verdict) Helper() {}

func (v *verdict) Skipf(format string, args ...any) {
	v.skipped = fmt.Sprintf(format, args...)
	runtime.Goexit()
}

func (v *verdict) Fatal(args ...any) {
	v.failed = fmt.Sprint(args...)
	runtime.Goexit()
}

func ask(t *testing.T) *verdict {
	t.Helper()
	v := &verdict{TB: t}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		brokertest.StartKafka(v, nil)
	}()
	<-ended
	return v
}

func TestMissingJavaSkipsLoudlyOrFails(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("brokers are not started there at all")
	}
	t.Setenv("PATH", t.TempDir())
	t.Setenv("JAVA_HOME", "")
	t.Setenv(brokertest.KafkaVariable, "")
	const command = "apt-get install -y --no-install-recommends openjdk-17-jre-headless maven"

	t.Setenv("CI", "")
	v := ask(t)
	require.Contains(t, v.skipped, "SKIPPED")
	require.Contains(t, v.skipped, command, "the message says what to run")
	require.Empty(t, v.failed)

	t.Setenv("CI", "true")
	v = ask(t)
	require.Empty(t, v.skipped, "nobody reads what a CI skips")
	require.Contains(t, v.failed, command)
}

func TestMissingMavenIsSaid(t *testing.T) {
	requireKafka(t)
	t.Setenv(brokertest.DirVariable, t.TempDir())
	t.Setenv("PATH", javaOnly(t))
	err := brokertest.GetKafka(t.Context(), func(string) {})
	require.ErrorIs(t, err, brokertest.ErrMissing)
	require.ErrorContains(t, err, "mvn is not on the PATH; run: apt-get install")
}

func TestOffSkips(t *testing.T) {
	t.Setenv(brokertest.KafkaVariable, brokertest.Off)
	t.Setenv("CI", "")
	require.Contains(t, ask(t).skipped, brokertest.KafkaVariable)
}
