package brokertest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/leatgo/leat/eventtest"
)

const (
	startTimeout = 3 * time.Minute // a busy machine takes a minute for what takes three seconds otherwise
	stopTimeout  = 15 * time.Second
	pauseTimeout = 5 * time.Second
	probeEvery   = 10 * time.Millisecond
	probeTimeout = 2 * time.Second // of one look at a broker
	maxResponse  = 16 << 20        // of a broker, in bytes
)

// spec says how the process of a broker is run. What belongs to one kind of broker stays in here,
// so that Process knows none.
type spec struct {
	name string   // for messages: "kafka-1"
	dir  string   // working folder, which also has the log and the process id; absolute
	args []string // the program and its arguments
	env  []string // all of its environment; nil for that of this process

	// guard kills the process when this one ends; nil for one that is meant to go on.
	guard *sandbox

	// limit is the longest file that the process may write, in bytes; 0 for no limit.
	limit int64

	// hasten is called before the process is asked to end, for one that would take its time; nil
	// for others.
	hasten func(ctx context.Context)

	// ready reports once whether the broker can be used. It is called until it returns nil.
	ready func(ctx context.Context) error
}

// Process is one broker process, which is started and injured as a test needs. Its data stays in
// its folder from start to start. The methods are safe for concurrent use; each waits for what it
// did to be true.
type Process struct {
	spec spec

	starting sync.Mutex // held until the new run is known

	usable   atomic.Bool  // it has been ready, and the test has done nothing to it since
	injuries atomic.Int64 // what the test has done to it, starts included

	mu  sync.Mutex
	run *run
}

// run is the time from one start of a process to its end.
type run struct {
	pid    int
	exited chan struct{}
	state  *os.ProcessState // written before exited is closed
}

// Start runs the process and returns when the broker can be used, after three minutes at the
// latest. When the process ends before, the error has the end of its log.
func (p *Process) Start(ctx context.Context) error {
	r, err := p.launch(ctx)
	if err != nil {
		return fmt.Errorf("start %s: %w", p.spec.name, err)
	}
	if err := p.await(ctx, r); err != nil {
		return err
	}
	p.usable.Store(true)
	return nil
}

// Restart stops the process, if it runs, and starts it with the data that it has.
func (p *Process) Restart(ctx context.Context) error {
	if err := p.Stop(); err != nil {
		return err
	}
	return p.Start(ctx)
}

// Stop asks the process to end (SIGTERM), and kills it when it has not ended after 15 seconds,
// which is an error. Stopping what does not run is not.
func (p *Process) Stop() error {
	p.injure()
	r := p.running()
	if r == nil {
		return nil
	}
	// A paused process sees the signal only when it goes on.
	err := signalGroup(r.pid, sigcont)
	if p.spec.hasten != nil {
		ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
		defer cancel()
		p.spec.hasten(ctx)
	}
	err = errors.Join(err, signalProcess(r.pid, sigterm))
	select {
	case <-r.exited:
		return nil
	case <-time.After(stopTimeout):
		p.Kill()
		return errors.Join(fmt.Errorf("%s did not stop within %v and was killed", p.spec.name, stopTimeout), err)
	}
}

// Kill ends the process at once (SIGKILL), paused or not, as a crash would. The data stays. Killing
// what does not run does nothing.
func (p *Process) Kill() {
	p.injure()
	if r := p.running(); r != nil {
		_ = signalGroup(r.pid, sigkill) // fails only when it has just ended
		<-r.exited
	}
}

// Pause freezes the process (SIGSTOP), and its children: connections stay open and nothing answers.
// It returns when all threads have stopped, as [eventtest.PauseProcess] does.
func (p *Process) Pause() error {
	p.injure()
	group, err := p.group()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), pauseTimeout)
	defer cancel()
	return eventtest.PauseProcess(ctx, group)
}

// Resume lets a paused process go on (SIGCONT).
func (p *Process) Resume() error {
	group, err := p.group()
	if err != nil {
		return err
	}
	if err := eventtest.ResumeProcess(group); err != nil {
		return err
	}
	p.usable.Store(true)
	return nil
}

// injure notes that the test does something to the process.
func (p *Process) injure() {
	p.injuries.Add(1)
	p.usable.Store(false)
}

// group names the process and its children, as PauseProcess wants it.
func (p *Process) group() (int, error) {
	r := p.running()
	if r == nil {
		return 0, fmt.Errorf("%s does not run", p.spec.name)
	}
	return -r.pid, nil
}

// Running says whether the process exists, paused or not.
func (p *Process) Running() bool { return p.running() != nil }

// Dir returns the folder of the process: its configuration, its log, and its data unless that is
// elsewhere.
func (p *Process) Dir() string { return p.spec.dir }

// PID returns the id of the process, 0 when it does not run.
func (p *Process) PID() int {
	if r := p.running(); r != nil {
		return r.pid
	}
	return 0
}

// Log returns the last lines that the process wrote, over all of its starts.
func (p *Process) Log(lines int) string {
	return tail(p.logFile(), lines)
}

func (p *Process) logFile() string { return filepath.Join(p.spec.dir, "broker.log") }
func (p *Process) pidFile() string { return filepath.Join(p.spec.dir, "pid") }

// running returns the current run, nil when there is none.
func (p *Process) running() *run {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.run != nil {
		select {
		case <-p.run.exited:
			p.run = nil
		default:
		}
	}
	return p.run
}

// launch starts the process behind a gate. The gate is a shell that becomes the broker when it
// reads a line. When this process ends before the watchdog knows of the shell, the shell reads the
// end of its input and ends: no moment is unwatched.
func (p *Process) launch(ctx context.Context) (*run, error) {
	p.injure()
	p.starting.Lock()
	defer p.starting.Unlock()
	if p.running() != nil {
		return nil, errors.New("it runs already")
	}
	log, err := os.OpenFile(p.logFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer func() { _ = log.Close() }()
	gate := `read -r _ || exit 1; ` + p.fileLimit() + `exec "$@" </dev/null`
	cmd := exec.CommandContext(context.WithoutCancel(ctx), "/bin/sh", append([]string{"-c", gate, "sh"}, p.spec.args...)...)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = p.spec.dir, p.spec.env, log, log
	ownGroup(cmd)
	open, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	defer func() { _ = open.Close() }()
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	r := &run{pid: cmd.Process.Pid, exited: make(chan struct{})}
	p.mu.Lock()
	p.run = r
	p.mu.Unlock()
	go func() {
		_ = cmd.Wait() // how it ended is in its state
		p.spec.guard.forget(r.pid)
		r.state = cmd.ProcessState
		close(r.exited)
	}()
	err = p.spec.guard.watch(r.pid)
	if err == nil {
		err = os.WriteFile(p.pidFile(), []byte(strconv.Itoa(r.pid)), 0o600)
	}
	if err == nil {
		_, err = open.Write([]byte("go\n"))
	}
	if err != nil {
		p.Kill()
		return nil, err
	}
	return r, nil
}

// fileLimit returns the shell's command for the limit, whose unit is 512 bytes.
func (p *Process) fileLimit() string {
	if p.spec.limit == 0 {
		return ""
	}
	return fmt.Sprintf("ulimit -f %d || exit 1; ", p.spec.limit/512)
}

// await asks until the broker can be used.
func (p *Process) await(ctx context.Context, r *run) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	probe, stop := context.WithCancel(ctx)
	defer stop()
	go func() { // ends a probe that waits for an answer of a process that has ended
		defer stop()
		select {
		case <-r.exited:
		case <-probe.Done():
		}
	}()
	tick := time.NewTicker(probeEvery)
	defer tick.Stop()
	for {
		err := p.spec.ready(probe)
		if err == nil {
			return nil
		}
		select {
		case <-r.exited:
			return fmt.Errorf("%s ended before it could be used (%v); the end of its log:\n%s", p.spec.name, r.state, p.Log(logLines))
		case <-ctx.Done():
			return fmt.Errorf("%s cannot be used (%w): %w; the end of its log:\n%s", p.spec.name, ctx.Err(), err, p.Log(logLines))
		case <-tick.C:
		}
	}
}
