package bench

import (
	"bytes"
	"fmt"
	"strconv"
)

// WriteTable writes the result as a Markdown section.
func (r *Result) WriteTable(w *bytes.Buffer) {
	fmt.Fprintf(w, "### %s\n\n%s\n\n", r.Group.Name, r.Group.About)
	holds := r.Heap(0).Median > 0
	head, line := "", ""
	if holds {
		head, line = " heap MiB |", "---:|"
	}
	fmt.Fprintf(w, "| case | events/s | ns/event | ratio | 95 %% interval | CPU ns/event | CPU ratio | allocs/event | B/event |%s\n", head)
	fmt.Fprintf(w, "|---|---:|---:|---:|---:|---:|---:|---:|---:|%s\n", line)
	for i, c := range r.Group.Cases {
		speed, ratio := r.Throughput(i).Median, r.Ratio(i, 0)
		interval := fmt.Sprintf("%s to %s", significant(ratio.Low), significant(ratio.High))
		if i == 0 {
			interval = "base"
		}
		fmt.Fprintf(w, "| %s | %s | %s | %s | %s | %s | %s | %.1f | %.0f |", c.Name, grouped(int64(speed)), significant(1e9/speed),
			significant(ratio.Median), interval, significant(r.CPU(i).Median), significant(r.CPURatio(i, 0).Median),
			r.Allocs(i).Median, r.Bytes(i).Median)
		if holds {
			fmt.Fprintf(w, " %.1f |", r.Heap(i).Median)
		}
		fmt.Fprintln(w)
	}
	fmt.Fprintln(w)
}

// WriteVerdicts writes how the goals of the results were met, as a Markdown table, and reports
// whether all were.
func WriteVerdicts(w *bytes.Buffer, results []*Result) bool {
	all := true
	fmt.Fprintf(w, "| group | goal | bound | measured | 95 %% interval | |\n|---|---|---:|---:|---:|---|\n")
	for _, r := range results {
		for _, v := range r.Verdicts() {
			met := "met"
			if !v.Met {
				met, all = "**missed**", false
			}
			fmt.Fprintf(w, "| %s | %s | %s | %s | %s to %s | %s |\n", r.Group.Name, v.Goal, v.Goal.Bounds(),
				significant(v.Measured.Median), significant(v.Measured.Low), significant(v.Measured.High), met)
		}
	}
	fmt.Fprintln(w)
	return all
}

// significant prints x with about three digits.
func significant(x float64) string {
	switch {
	case x == 0:
		return "0"
	case x >= 100:
		return fmt.Sprintf("%.0f", x)
	case x >= 10:
		return fmt.Sprintf("%.1f", x)
	case x >= 0.1:
		return fmt.Sprintf("%.2f", x)
	default:
		return fmt.Sprintf("%.4f", x)
	}
}

// grouped prints n with a comma between thousands.
func grouped(n int64) string {
	if n < 1_000 {
		return strconv.FormatInt(n, 10)
	}
	return fmt.Sprintf("%s,%03d", grouped(n/1_000), n%1_000)
}
