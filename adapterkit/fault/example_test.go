package fault_test

import (
	"errors"
	"fmt"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapterkit/fault"
)

// A stream keeps what is wrong with each partition. Health reports all of it.
func Example() {
	var partitions fault.Symptoms[int]
	partitions.Set(4, errors.New("no leader"))
	partitions.Set(2, errors.New("no leader"))
	partitions.Set(4, nil) // it is well again

	var errs []error
	for p, symptom := range partitions.All() {
		since := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC) // symptom.Since
		errs = append(errs, fault.Health("orders", fault.Code(symptom.Err), since, fmt.Errorf("partition %d: %w", p, symptom.Err)))
	}
	err := fault.Join(errs...)
	fmt.Println(err)
	fmt.Println(leat.CodeOf(err))
	// Output:
	// leat: health topic "orders": unavailable: partition 2: no leader, since 2026-01-02T03:04:05Z
	// unavailable
}
