// Package ranges checks the options of Leat's constructors. There is one policy for all: zero means
// the default, and every other value outside of the range is an error that names the field and the
// range.
//
//	return cmp.Or(
//		ranges.Int("Options.Buffer", o.Buffer, 1, 1<<30),
//		ranges.Duration("Options.CloseTimeout", o.CloseTimeout, time.Millisecond, time.Hour),
//	)
//
// The values themselves are not in the errors: they may come from a URL.
package ranges

import (
	"fmt"
	"time"

	"github.com/leatgo/leat/internal/secrets"
)

// Int returns an error where value is neither 0 nor from lowest to highest.
func Int[T int | int16 | int32 | int64](name string, value, lowest, highest T) error {
	return check(name, value, lowest, highest)
}

// Duration returns an error where value is neither 0 nor from lowest to highest.
func Duration(name string, value, lowest, highest time.Duration) error {
	return check(name, value, lowest, highest)
}

// Float returns an error where value is neither 0 nor from lowest to highest, and for NaN.
func Float(name string, value, lowest, highest float64) error {
	return check(name, value, lowest, highest)
}

// Enum returns an error where value is more than highest, the last constant of its type.
func Enum[T ~uint8](name string, value, highest T) error {
	if value > highest {
		return secrets.Text(name + " is out of its range; use a constant of its type")
	}
	return nil
}

func check[T int | int16 | int32 | int64 | float64 | time.Duration](name string, value, lowest, highest T) error {
	if value == 0 || value >= lowest && value <= highest { // false for NaN
		return nil
	}
	return secrets.Text(fmt.Sprintf("%s is out of its range; use %v to %v, or 0 for the default", name, lowest, highest))
}
