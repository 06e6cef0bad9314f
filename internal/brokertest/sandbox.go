package brokertest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
)

// sandbox is the folder of brokers that belong together, with a watchdog that kills them and
// removes the folder when this process ends. The watchdog is a shell that reads from a pipe: the
// system closes our end of the pipe however we end, a SIGKILL included.
type sandbox struct {
	dir  string
	cmd  *exec.Cmd
	pipe io.WriteCloser
}

// The groups are killed before the folder goes, so that nothing writes into it meanwhile. Signals
// from the terminal are ignored: after an interrupt it is the watchdog that cleans up.
const watchdogScript = `trap "" INT TERM HUP QUIT
pids=
while read -r verb pid; do
	case $verb in
	add) pids="$pids $pid" ;;
	drop)
		rest=
		for p in $pids; do [ "$p" = "$pid" ] || rest="$rest $p"; done
		pids=$rest
		;;
	dismiss) exit ;;
	esac
done
for p in $pids; do kill -9 "-$p"; done
[ -z "$pids" ] || sleep 0.2
rm -rf "$1"
`

func newSandbox(ctx context.Context, prefix string) (*sandbox, error) {
	dir, err := os.MkdirTemp("", prefix)
	if err != nil {
		return nil, err
	}
	// The watchdog outlives any context: it ends when the sandbox does.
	cmd := exec.CommandContext(context.WithoutCancel(ctx), "/bin/sh", "-c", watchdogScript, "sh", dir)
	cmd.Dir = "/" // not a folder that somebody may want to remove
	ownGroup(cmd)
	pipe, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start the watchdog: %w", err), os.RemoveAll(dir))
	}
	return &sandbox{dir: dir, cmd: cmd, pipe: pipe}, nil
}

// watch tells the watchdog of a process group that it has to kill. A sandbox that is nil has no
// watchdog.
func (s *sandbox) watch(pid int) error {
	if s == nil {
		return nil
	}
	_, err := fmt.Fprintf(s.pipe, "add %d\n", pid)
	return err
}

// forget tells the watchdog that a process has ended, whose id may soon be another's.
func (s *sandbox) forget(pid int) {
	if s != nil {
		_, _ = fmt.Fprintf(s.pipe, "drop %d\n", pid) // after close there is no watchdog to tell
	}
}

// close removes the folder. The processes have ended by then.
func (s *sandbox) close() error {
	_, _ = io.WriteString(s.pipe, "dismiss\n") // somebody may have killed it
	_ = s.pipe.Close()
	_ = s.cmd.Wait()
	return os.RemoveAll(s.dir)
}
