//go:build !(linux || darwin || freebsd || netbsd || openbsd || dragonfly)

package brokertest

import (
	"errors"
	"os"
	"os/exec"
	"syscall"
)

const (
	sigkill = syscall.SIGKILL
	sigterm = syscall.SIGTERM
	sigcont = syscall.Signal(0x12)
)

// supported is false: the gate and the watchdog are shells, and pausing needs signals.
const supported = false

func ownGroup(*exec.Cmd)                      {}
func signalProcess(int, syscall.Signal) error { return errors.ErrUnsupported }
func signalGroup(int, syscall.Signal) error   { return errors.ErrUnsupported }
func lockFile(*os.File) error                 { return errors.ErrUnsupported }
