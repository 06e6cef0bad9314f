package brokertest_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
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

// ask starts a broker as a test does that may be skipped.
func ask(t *testing.T, start func(testing.TB)) *verdict {
	t.Helper()
	v := &verdict{TB: t}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		start(v)
	}()
	<-ended
	return v
}

func askKafka(t testing.TB) {
	t.Helper()
	brokertest.StartKafka(t, nil)
}

func askRabbitMQ(t testing.TB) {
	t.Helper()
	brokertest.StartRabbitMQ(t, nil)
}

func askNATS(t testing.TB) {
	t.Helper()
	brokertest.StartNATS(t, nil)
}

func askLocalStack(t testing.TB) {
	t.Helper()
	brokertest.StartLocalStack(t, nil)
}

func askElasticMQ(t testing.TB) {
	t.Helper()
	brokertest.StartElasticMQ(t, nil)
}

func askPubSub(t testing.TB) {
	t.Helper()
	brokertest.StartPubSub(t, nil)
}

func askApicurio(t testing.TB) {
	t.Helper()
	brokertest.StartApicurio(t)
}

// TestMissingGcloudSkipsLoudly: no package that a CI could install has the emulator.
func TestMissingGcloudSkipsLoudly(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("brokers are not started there at all")
	}
	t.Setenv(brokertest.DirVariable, t.TempDir())
	t.Setenv("CLOUDSDK_ROOT_DIR", "")
	t.Setenv(brokertest.PubSubVariable, "")
	t.Setenv("PATH", t.TempDir())
	for _, ci := range []string{"", "1"} {
		t.Setenv("CI", ci)
		skipped := ask(t, askPubSub).skipped
		require.Contains(t, skipped, "SKIPPED, NOT TESTED")
		require.Contains(t, skipped, "google-cloud-cli-pubsub-emulator")
	}
}

// TestOtherPubSubEmulatorIsRefused has a gcloud with an emulator of another version, and then one
// whose jar is not what Google has published.
func TestOtherPubSubEmulatorIsRefused(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("brokers are not started there at all")
	}
	root := t.TempDir()
	lib := filepath.Join(root, "platform", "pubsub-emulator", "lib")
	require.NoError(t, os.MkdirAll(lib, 0o700))
	t.Setenv(brokertest.DirVariable, t.TempDir())
	t.Setenv("CLOUDSDK_ROOT_DIR", root)
	require.NoError(t, os.WriteFile(filepath.Join(lib, "cloud-pubsub-emulator-0.0.1-all.jar"), nil, 0o600))
	err := brokertest.GetPubSub(t.Context(), func(string) {})
	require.ErrorIs(t, err, brokertest.ErrMissing)
	require.ErrorContains(t, err, "cloud-pubsub-emulator-0.0.1-all.jar")

	requireMaven(t)
	jar := filepath.Join(lib, "cloud-pubsub-emulator-"+brokertest.PubSubVersion+"-all.jar")
	require.NoError(t, os.WriteFile(jar, []byte("something else"), 0o600))
	err = brokertest.GetPubSub(t.Context(), func(string) {})
	require.ErrorIs(t, err, brokertest.ErrMissing)
	require.ErrorContains(t, err, "SHA-256")
}

func TestMissingPythonSkipsLoudlyOrFails(t *testing.T) {
	t.Setenv(brokertest.LocalStackVariable, "")
	skipsLoudlyOrFails(t, askLocalStack, "apt-get install -y --no-install-recommends python3 python3-venv")
}

// TestMissingModuleOfPythonIsSaid has the Python of a Debian without its package python3-venv.
func TestMissingModuleOfPythonIsSaid(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("brokers are not started there at all")
	}
	dir := t.TempDir()
	script := "#!/bin/sh\necho \"ModuleNotFoundError: No module named 'ensurepip'\" >&2\nexit 1\n"
	require.NoError(t, os.WriteFile(filepath.Join(dir, "python3"), []byte(script), 0o700))
	t.Setenv("PATH", dir)
	err := brokertest.GetLocalStack(t.Context(), func(string) {})
	require.ErrorIs(t, err, brokertest.ErrMissing)
	require.ErrorContains(t, err, "No module named 'ensurepip'")
	require.ErrorContains(t, err, "python3-venv")
}

func TestMissingJavaForElasticMQSkipsLoudlyOrFails(t *testing.T) {
	t.Setenv("JAVA_HOME", "")
	t.Setenv(brokertest.ElasticMQVariable, "")
	skipsLoudlyOrFails(t, askElasticMQ, "ElasticMQ needs Java 17, and java is not on the PATH")
}

func TestMissingJavaForApicurioSkipsLoudlyOrFails(t *testing.T) {
	t.Setenv("JAVA_HOME", "")
	t.Setenv(brokertest.ApicurioVariable, "")
	skipsLoudlyOrFails(t, askApicurio, "Apicurio needs Java 21, and java is not on the PATH")
}

func TestMissingGoSkipsLoudlyOrFails(t *testing.T) {
	t.Setenv(brokertest.DirVariable, t.TempDir())
	t.Setenv(brokertest.NATSVariable, "")
	skipsLoudlyOrFails(t, askNATS, "NATS is built by Go, and go is not on the PATH")
}

func TestMissingJavaSkipsLoudlyOrFails(t *testing.T) {
	t.Setenv("JAVA_HOME", "")
	t.Setenv(brokertest.KafkaVariable, "")
	skipsLoudlyOrFails(t, askKafka, "apt-get install -y --no-install-recommends openjdk-17-jre-headless maven")
}

func TestMissingRabbitMQSkipsLoudlyOrFails(t *testing.T) {
	if _, err := os.Stat("/usr/lib/rabbitmq"); err == nil || runtime.GOOS != "linux" {
		t.Skip("RabbitMQ is installed here, or cannot be had in any way")
	}
	t.Setenv(brokertest.DirVariable, t.TempDir())
	t.Setenv(brokertest.RabbitMQVariable, "")
	skipsLoudlyOrFails(t, askRabbitMQ, "docker compose up -d --wait rabbitmq")
}

// skipsLoudlyOrFails asks for a broker where no program is found.
func skipsLoudlyOrFails(t *testing.T, start func(testing.TB), command string) {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("brokers are not started there at all")
	}
	t.Setenv("PATH", t.TempDir())
	t.Setenv("CI", "")
	v := ask(t, start)
	require.Contains(t, v.skipped, "SKIPPED")
	require.Contains(t, v.skipped, command, "the message says what to run")
	require.Empty(t, v.failed)

	t.Setenv("CI", "true")
	v = ask(t, start)
	require.Empty(t, v.skipped, "nobody reads what a CI skips")
	require.Contains(t, v.failed, command)
}

// requireMaven ends a test whose broker Maven fetches, where there is none.
func requireMaven(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("mvn"); err != nil {
		t.Skip(err)
	}
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
	t.Setenv("CI", "")
	for variable, start := range map[string]func(testing.TB){
		brokertest.KafkaVariable: askKafka, brokertest.RabbitMQVariable: askRabbitMQ, brokertest.NATSVariable: askNATS,
		brokertest.LocalStackVariable: askLocalStack, brokertest.ElasticMQVariable: askElasticMQ,
		brokertest.PubSubVariable: askPubSub, brokertest.ApicurioVariable: askApicurio,
	} {
		t.Setenv(variable, brokertest.Off)
		require.Contains(t, ask(t, start).skipped, variable)
	}
}
