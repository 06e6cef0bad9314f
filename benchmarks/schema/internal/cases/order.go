package cases

import "strings"

// size is how many bytes the data of an event has at most.
const size = 1 << 10

// order returns an order with that many lines.
func order(lines int) map[string]any {
	all := make([]any, lines)
	for i := range all {
		all[i] = map[string]any{"sku": strings.Repeat("a", 30), "quantity": i%10 + 1}
	}
	return map[string]any{"id": "o-1", "placed": "2026-01-02T03:04:05Z", "lines": all}
}

// kilobyte returns the largest order of at most 1 KiB in an encoding.
func kilobyte(encode func(order map[string]any) ([]byte, error)) (data []byte, err error) {
	for lines := 1; ; lines++ {
		longer, err := encode(order(lines))
		if err != nil || len(longer) > size {
			return data, err
		}
		data = longer
	}
}
