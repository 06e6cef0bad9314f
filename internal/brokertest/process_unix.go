//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package brokertest

import (
	"os"
	"os/exec"
	"syscall"
)

const (
	sigkill = syscall.SIGKILL
	sigterm = syscall.SIGTERM
	sigcont = syscall.SIGCONT
)

// supported says whether brokers can be run on this system.
const supported = true

// ownGroup gives a child a process group of its own, named by its id: an interrupt at the terminal
// does not reach it, and its own children are killed with it.
func ownGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
}

func signalProcess(pid int, s syscall.Signal) error { return syscall.Kill(pid, s) }
func signalGroup(pid int, s syscall.Signal) error   { return syscall.Kill(-pid, s) }

// lockFile waits for the file's lock, which the system frees when the file is closed or the process
// ends.
func lockFile(f *os.File) error { return syscall.Flock(int(f.Fd()), syscall.LOCK_EX) }
