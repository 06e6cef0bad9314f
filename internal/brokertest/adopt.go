package brokertest

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

const adoptedEvery = 20 * time.Millisecond

// adopt finds the process that another program has left running in this folder, if it still does.
func (p *Process) adopt(ctx context.Context) {
	text, err := os.ReadFile(p.pidFile())
	if err != nil {
		return
	}
	pid, err := strconv.Atoi(string(text))
	if err != nil || !alive(ctx, pid, p.spec.dir) {
		return
	}
	r := &run{pid: pid, exited: make(chan struct{})}
	p.mu.Lock()
	p.run = r
	p.mu.Unlock()
	go func() { // only a parent is told of an end; others have to look
		tick := time.NewTicker(adoptedEvery)
		defer tick.Stop()
		for alive(context.WithoutCancel(ctx), pid, p.spec.dir) {
			<-tick.C
		}
		close(r.exited)
	}()
}

// alive says whether a process runs whose command line has the mark. A process that has ended and
// was not waited for does not run; an id that has become another's lacks the mark.
func alive(ctx context.Context, pid int, mark string) bool {
	proc := filepath.Join("/proc", strconv.Itoa(pid))
	if _, err := os.Stat("/proc/self/cmdline"); err == nil { // Linux, perhaps without ps; empty for a process that has ended
		line, err := os.ReadFile(filepath.Join(proc, "cmdline"))
		return err == nil && strings.Contains(string(line), mark)
	}
	line, err := exec.CommandContext(ctx, "ps", "-o", "stat=,command=", "-ww", "-p", strconv.Itoa(pid)).Output()
	return err == nil && !strings.HasPrefix(string(line), "Z") && strings.Contains(string(line), mark)
}
