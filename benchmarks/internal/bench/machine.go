package bench

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
)

// WriteMachine writes what the numbers depend on: processor, Go, operating system, and the versions
// of the named modules.
func WriteMachine(w *bytes.Buffer, modules ...string) {
	fmt.Fprintf(w, "- %s, %d of %d processors (GOMAXPROCS)\n", processor(), runtime.GOMAXPROCS(0), runtime.NumCPU())
	fmt.Fprintf(w, "- %s, %s/%s\n", runtime.Version(), runtime.GOOS, runtime.GOARCH)
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return
	}
	for _, dep := range info.Deps {
		for _, module := range modules {
			if dep.Path == module {
				fmt.Fprintf(w, "- %s %s\n", dep.Path, dep.Version)
			}
		}
	}
}

// processor returns the processor's name as Linux gives it.
func processor() string {
	cpuinfo, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return "unknown processor"
	}
	for line := range strings.Lines(string(cpuinfo)) {
		if name, value, _ := strings.Cut(line, ":"); strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "unknown processor"
}
