// Package lab runs scenarios for parties, each in a process of its own, so that one that hangs or
// panics harms no other.
package lab

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/leatgo/leat/benchmarks/peerlab/internal/party"
	"github.com/leatgo/leat/benchmarks/peerlab/internal/scenario"
	"github.com/leatgo/leat/internal/brokertest"
)

// ExitMissing is the status of a program that could not run because there is no RabbitMQ.
const ExitMissing = 3

// mostTime is how long a process may take, with its broker.
const mostTime = 5 * time.Minute

// Cell runs one scenario for one party, "scenario/party", in this process, and writes its result as
// JSON.
func Cell(ctx context.Context, name string, long bool, w io.Writer) error {
	scenarioName, partyName, _ := strings.Cut(name, "/")
	for _, s := range scenario.All() {
		for _, p := range party.All() {
			if s.Name != scenarioName || p.Name != partyName {
				continue
			}
			r, err := s.Run(ctx, p, long)
			if err != nil {
				return err
			}
			return json.NewEncoder(w).Encode(r)
		}
	}
	return fmt.Errorf("there is no %q", name)
}

// programs are this program, and this program with the race detector.
type programs struct {
	plain, racing string
	dir           string
}

// build makes the program with the race detector. Without a C compiler it is "".
func (p *programs) build(ctx context.Context) error {
	var err error
	if p.plain, err = os.Executable(); err != nil {
		return err
	}
	if p.dir, err = os.MkdirTemp("", "leat-peerlab-"); err != nil {
		return err
	}
	out, err := exec.CommandContext(ctx, "go", "env", "CGO_ENABLED").Output()
	if err != nil || strings.TrimSpace(string(out)) != "1" {
		return err
	}
	racing := filepath.Join(p.dir, "peerlab-race")
	out, err = exec.CommandContext(ctx, "go", "build", "-race", "-o", racing, ".").CombinedOutput()
	if err != nil {
		return fmt.Errorf("build with the race detector, in the folder of this program: %w\n%s", err, out)
	}
	p.racing = racing
	return nil
}

func (p *programs) remove() error { return os.RemoveAll(p.dir) }

// attempts is how often a scenario is begun that cannot be run, on a machine that is busy.
const attempts = 3

// run runs a scenario for a party.
func (p *programs) run(ctx context.Context, s scenario.Scenario, of party.Party, short bool) (r scenario.Result, err error) {
	for range attempts {
		r, err = p.once(ctx, s, of, short)
		if err == nil || ctx.Err() != nil || errors.Is(err, brokertest.ErrMissing) {
			break
		}
	}
	return r, err
}

// once runs a scenario for a party in a process of its own.
func (p *programs) once(ctx context.Context, s scenario.Scenario, of party.Party, short bool) (scenario.Result, error) {
	program := p.plain
	if s.Race {
		if program = p.racing; program == "" {
			return scenario.Result{Held: true, Seen: "not looked for: no C compiler"}, nil
		}
	}
	ctx, cancel := context.WithTimeout(ctx, mostTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, "-cell", s.Name+"/"+of.Name, fmt.Sprintf("-short=%v", short))
	cmd.Env = append(os.Environ(), "GORACE=halt_on_error=0 exitcode=0 history_size=5")
	cmd.WaitDelay = 5 * time.Second
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	switch {
	case err == nil:
	case ctx.Err() != nil:
		return scenario.Result{}, ctx.Err()
	case cmd.ProcessState != nil && cmd.ProcessState.ExitCode() == ExitMissing:
		return scenario.Result{}, fmt.Errorf("%w: %s", brokertest.ErrMissing, lastLine(stderr.Bytes()))
	default:
		if line := panicLine(stderr.Bytes()); line != "" {
			return scenario.Result{Seen: "the process ended: " + line}, nil
		}
		return scenario.Result{}, errors.New(lastLine(stderr.Bytes()))
	}
	var r scenario.Result
	if err := json.Unmarshal(stdout.Bytes(), &r); err != nil {
		return r, fmt.Errorf("%w: %s", err, stdout.Bytes())
	}
	if s.Race {
		races := bytes.Count(stderr.Bytes(), []byte("WARNING: DATA RACE"))
		r.Held, r.Seen = races == 0, fmt.Sprintf("%d reports", races)
	}
	return r, nil
}

// panicLine returns the line with the panic, if there is one.
func panicLine(stderr []byte) string {
	for line := range strings.Lines(string(stderr)) {
		if strings.HasPrefix(line, "panic: ") || strings.HasPrefix(line, "fatal error: ") {
			return strings.TrimSpace(line)
		}
	}
	return ""
}

func lastLine(text []byte) string {
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return lines[len(lines)-1]
}
