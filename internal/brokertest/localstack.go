package brokertest

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// LocalStackVersion is the version of LocalStack that tests run.
const LocalStackVersion = "2026.3.0"

const (
	localStackInstall = "apt-get install -y --no-install-recommends python3 python3-venv"
	pipTimeout        = 15 * time.Minute // 200 MB, of which a slow machine unpacks 5,000 files
)

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
//   - SNS delivers late, in small portions, which costs a consumer more calls than at AWS. It passes
//     the group id on to standard queues, and delivers messages with 11 attributes to raw
//     subscriptions; AWS discards them.
//   - It accepts Subscribe for an existing subscription with other attributes, does not apply
//     MaximumMessageSize of SNS, and counts the 12 hours of visibility from the last call.
func StartLocalStack(t testing.TB, opts *LocalStackOptions) *AWSServer {
	t.Helper()
	return startAWS(t, LocalStackVariable, func(ctx context.Context) (*AWSServer, error) { return RunLocalStack(ctx, opts) })
}

// RunLocalStack starts a LocalStack for a program that is not a test. The caller closes it.
func RunLocalStack(ctx context.Context, opts *LocalStackOptions) (*AWSServer, error) {
	create, err := localStackMaker(ctx, opts)
	if err != nil {
		return nil, err
	}
	return runAWS(ctx, create)
}

func localStackMaker(ctx context.Context, opts *LocalStackOptions) (awsMaker, error) {
	python, err := getLocalStack(ctx, func(string) {})
	if err != nil {
		return nil, err
	}
	if opts == nil {
		opts = &LocalStackOptions{}
	}
	return func(dir string, port int) (spec, error) {
		env := localStackEnv(dir, port)
		for name, value := range opts.Env {
			env = append(env, name+"="+value)
		}
		// LocalStack reads no arguments; the option is how the process is found again.
		return spec{name: "localstack", args: []string{python, "-X", "dir=" + dir, "-m", "localstack.runtime.main"}, env: env}, nil
	}, nil
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
	if !supported {
		return "", fmt.Errorf("%w: %w: LocalStack is not started on %s; set %s to the URL of one",
			ErrMissing, errors.ErrUnsupported, runtime.GOOS, LocalStackVariable)
	}
	python, version, err := findPython(ctx)
	if err != nil {
		return "", err
	}
	cache, err := cacheDir()
	if err != nil {
		return "", err
	}
	// An environment works with the Python that has made it.
	home := filepath.Join(cache, "localstack-"+LocalStackVersion+"-"+digest(localStackPins, localStackFix, version))
	err = fill(home, func(dir string) error {
		progress("installing LocalStack " + LocalStackVersion + " into " + home)
		return installLocalStack(ctx, python, dir)
	})
	return filepath.Join(home, "bin", "python"), err
}

// installLocalStack makes the environment in a folder, which may be moved afterwards.
func installLocalStack(ctx context.Context, python, dir string) error {
	ctx, cancel := context.WithTimeout(ctx, pipTimeout)
	defer cancel()
	if err := command(ctx, "/", python, "-m", "venv", dir); err != nil {
		return fmt.Errorf("%w: %w\nrun: %s", ErrMissing, err, localStackInstall)
	}
	pins, fix := filepath.Join(dir, "requirements.txt"), filepath.Join(dir, "fix.py")
	err := errors.Join(os.WriteFile(pins, []byte(localStackPins), 0o600), os.WriteFile(fix, []byte(localStackFix), 0o600))
	if err != nil {
		return err
	}
	own := filepath.Join(dir, "bin", "python")
	err = command(ctx, dir, own, "-m", "pip", "install", "-q", "--no-input", "--disable-pip-version-check", "--no-deps", "-r", pins)
	if err != nil {
		return fmt.Errorf("%w: pip could not install LocalStack; once it can, run: make brokers\n%w", ErrMissing, err)
	}
	if err := command(ctx, dir, own, fix); err != nil {
		return err
	}
	// LocalStack itself hides an import that fails behind "No component plugins found".
	return command(ctx, dir, own, "-c", "import localstack.aws.components")
}

// findPython returns the path and the version text of a Python that can make environments and run
// LocalStack.
func findPython(ctx context.Context) (path, version string, err error) {
	path, err = exec.LookPath("python3")
	if err != nil {
		return "", "", fmt.Errorf("%w: LocalStack needs Python 3.11, and python3 is not on the PATH; run: %s", ErrMissing, localStackInstall)
	}
	// Debian has the modules in a package of their own.
	script := "import sys, venv, ensurepip; assert sys.version_info >= (3, 11), sys.version; print(sys.executable, sys.version)"
	out, err := exec.CommandContext(ctx, path, "-c", script).CombinedOutput()
	if err != nil {
		return "", "", fmt.Errorf("%w: LocalStack needs Python 3.11 with the modules venv and ensurepip: %w\n%srun: %s",
			ErrMissing, err, out, localStackInstall)
	}
	return path, strings.TrimSpace(string(out)), nil
}
