package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// stubPackage is the stub of the adapter's tests, as a program.
const stubPackage = "github.com/leatgo/leat/adapters/awssnssqs/internal/awsstub/serve"

// startStub builds the stub and runs it as a process of its own, so that its work is not counted as
// that of the clients. It ends when stop is called, or with this process.
func startStub(ctx context.Context) (url string, stop func() error, err error) {
	dir, err := os.MkdirTemp("", "leat-awsstub-")
	if err != nil {
		return "", nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(dir))
		}
	}()
	program := filepath.Join(dir, "awsstub")
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", program, stubPackage).CombinedOutput(); err != nil {
		return "", nil, fmt.Errorf("build the stub of SQS: %w: %s", err, out)
	}
	stub := exec.CommandContext(ctx, program)
	stub.Stderr = os.Stderr
	in, err := stub.StdinPipe()
	if err != nil {
		return "", nil, err
	}
	out, err := stub.StdoutPipe()
	if err != nil {
		return "", nil, err
	}
	if err := stub.Start(); err != nil {
		return "", nil, err
	}
	stop = func() error { return errors.Join(in.Close(), stub.Wait(), os.RemoveAll(dir)) }
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		return "", nil, errors.Join(fmt.Errorf("read the URL of the stub of SQS: %w", err), stop())
	}
	return strings.TrimSpace(line), stop, nil
}
