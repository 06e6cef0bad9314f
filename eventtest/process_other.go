//go:build !(linux || darwin || freebsd || netbsd || openbsd || dragonfly)

package eventtest

import "errors"

func pauseSignal(int) error  { return errors.ErrUnsupported }
func resumeSignal(int) error { return errors.ErrUnsupported }
