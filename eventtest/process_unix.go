//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package eventtest

import "syscall"

func pauseSignal(pid int) error  { return syscall.Kill(pid, syscall.SIGSTOP) }
func resumeSignal(pid int) error { return syscall.Kill(pid, syscall.SIGCONT) }
