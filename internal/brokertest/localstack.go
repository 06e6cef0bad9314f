package brokertest

import (
	"context"
	_ "embed"
	"os"
	"path/filepath"
	"testing"
)

// LocalStackVersion is the version of LocalStack that tests run.
const LocalStackVersion = "2026.3.0"

var (
	// localStackPins are all packages of the installation: pip looks for no others.
	//go:embed localstack/requirements.txt
	localStackPins string

	//go:embed localstack/fix.py
	localStackFix string
)

// LocalStackOptions say what kind of LocalStack is started. The zero value and nil are one with SNS
// and SQS.
type LocalStackOptions struct {
	// Env is added to the environment of the server.
	Env map[string]string
}

// StartLocalStack starts a LocalStack that belongs to the test, which may injure it. It is removed
// when the test ends; when the test has failed, the end of its log is shown before. A test whose
// LocalStack cannot be had is skipped, or fails where CI is set.
//
// It keeps nothing: after a kill or a restart its topics and queues are gone.
//
// Where it differs from AWS:
//   - A group of a FIFO queue goes on as soon as any of its messages is visible again: with a0, a1
//     and a2 out and a2 given back, the next receive returns a2 and a3. At AWS it returns nothing.
//   - It ignores ReceiveRequestAttemptId, and extends the visibility of a message by an old handle.
//     While somebody else holds a message of a FIFO queue, an old handle deletes it as well. So it
//     fails the suite's case isolated-acks-sent-once, whose client has sent its deletes in time and
//     whose network delivers them late.
//   - SNS delivers late, in small portions, which costs a consumer more calls than at AWS. It passes
//     the group id on to standard queues, and delivers messages with 11 attributes to raw
//     subscriptions; AWS discards them.
//   - It accepts Subscribe for an existing subscription with other attributes, does not apply
//     MaximumMessageSize of SNS, and counts the 12 hours of visibility from the last call.
func StartLocalStack(t testing.TB, opts *LocalStackOptions) *AWSServer {
	t.Helper()
	return startAWS(t, LocalStackVariable, func(ctx context.Context) (*server, error) { return runLocalStack(ctx, opts) })
}

// RunLocalStack starts a LocalStack for a program that is not a test. The caller closes it.
func RunLocalStack(ctx context.Context, opts *LocalStackOptions) (*AWSServer, error) {
	return newAWSServer(runLocalStack(ctx, opts))
}

func runLocalStack(ctx context.Context, opts *LocalStackOptions) (*server, error) {
	create, err := localStackMaker(ctx, opts)
	if err != nil {
		return nil, err
	}
	return runAWS(ctx, create)
}

func localStackMaker(ctx context.Context, opts *LocalStackOptions) (serverMaker, error) {
	python, err := getLocalStack(ctx, func(string) {})
	if err != nil {
		return nil, err
	}
	if opts == nil {
		opts = &LocalStackOptions{}
	}
	return awsMaker(func(dir string, port int) (spec, error) {
		env := localStackEnv(dir, port)
		for name, value := range opts.Env {
			env = append(env, name+"="+value)
		}
		// LocalStack reads no arguments; the option is how the process is found again.
		return spec{name: "localstack", args: []string{python, "-X", "dir=" + dir, "-m", "localstack.runtime.main"}, env: env}, nil
	}), nil
}

// localStackEnv is all of the environment: LocalStack reads settings from some 200 variables.
func localStackEnv(dir string, port int) []string {
	return []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + dir,
		"GATEWAY_LISTEN=" + address(port), "LOCALSTACK_HOST=" + address(port),
		"SERVICES=sqs,sns", "EAGER_SERVICE_LOADING=1",
		"OVERRIDE_IN_DOCKER=0", "FILESYSTEM_ROOT=" + filepath.Join(dir, "data"),
		// No name server, no statistics, no certificate from the network.
		"DNS_ADDRESS=0", "DISABLE_EVENTS=1", "SKIP_SSL_CERT_DOWNLOAD=1",
		"SQS_ENDPOINT_STRATEGY=path", "SQS_DISABLE_CLOUDWATCH_METRICS=1",
		// As strict as AWS, which it is not by default.
		"SQS_DELAY_PURGE_RETRY=1", "SQS_DELAY_RECENTLY_DELETED=1", "SQS_ENABLE_MESSAGE_RETENTION_PERIOD=1",
	}
}

// GetLocalStack installs LocalStack into a Python environment of its own, unless that was done
// before. It writes what it does to progress, and nothing when there is nothing to do.
func GetLocalStack(ctx context.Context, progress func(string)) error {
	_, err := getLocalStack(ctx, progress)
	return err
}

// getLocalStack returns the path of the environment's Python.
func getLocalStack(ctx context.Context, progress func(string)) (string, error) {
	if err := startable("LocalStack", LocalStackVariable, "URL"); err != nil {
		return "", err
	}
	name := "localstack-" + LocalStackVersion
	return pythonEnv(ctx, "LocalStack", name, localStackPins, localStackFix, progress, func(dir, python string) error {
		fix := filepath.Join(dir, "fix.py")
		if err := os.WriteFile(fix, []byte(localStackFix), 0o600); err != nil {
			return err
		}
		if err := command(ctx, dir, python, fix); err != nil {
			return err
		}
		// LocalStack itself hides an import that fails behind "No component plugins found".
		return command(ctx, dir, python, "-c", "import localstack.aws.components")
	})
}
