package brokertest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// StartPrometheus starts a Prometheus that scrapes target, a host:port, once a second, and has
// the rules of a file. It returns its URL. It is removed when the test ends. It runs on the
// program of the machine's package; a test without it is skipped, or fails where CI is set.
func StartPrometheus(t testing.TB, target, rules string) string {
	t.Helper()
	program, err := exec.LookPath("prometheus")
	if err != nil {
		err = fmt.Errorf("%w: Prometheus is not installed; run: apt-get install -y --no-install-recommends prometheus", ErrMissing)
	}
	require(t, err)
	box, err := newSandbox(t.Context(), "leat-prometheus-")
	require(t, err)
	t.Cleanup(func() {
		if err := box.close(); err != nil {
			t.Errorf("remove Prometheus: %v", err)
		}
	})
	url, p, err := newPrometheus(t.Context(), program, target, rules, box)
	require(t, err)
	t.Cleanup(p.Kill) // its data goes too
	require(t, p.Start(t.Context()))
	return url
}

// newPrometheus makes a Prometheus that does not run yet.
func newPrometheus(ctx context.Context, program, target, rules string, box *sandbox) (url string, p *Process, err error) {
	ports, err := freePorts(ctx, 1)
	if err != nil {
		return "", nil, err
	}
	if rules, err = filepath.Abs(rules); err != nil {
		return "", nil, err
	}
	dir := filepath.Join(box.dir, "prometheus")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return "", nil, err
	}
	config := strings.Join([]string{
		// A scrape of half a megabyte takes half a second with the race detector on a busy machine.
		"global: {scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 500ms}",
		"rule_files: ['" + rules + "']",
		"scrape_configs: [{job_name: leat, static_configs: [{targets: ['" + target + "']}]}]",
	}, "\n")
	file := filepath.Join(dir, "prometheus.yml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		return "", nil, err
	}
	url = "http://" + address(ports[0])
	p = &Process{spec: spec{name: "prometheus", dir: dir, guard: box, args: []string{
		program, "--config.file=" + file, "--storage.tsdb.path=" + filepath.Join(dir, "data"), "--web.listen-address=" + address(ports[0]),
	}}}
	p.spec.ready = func(ctx context.Context) error {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/-/ready", nil)
		if err != nil {
			return err
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return err
		}
		_ = response.Body.Close()
		if response.StatusCode != http.StatusOK {
			return errors.New("it is not ready yet")
		}
		return nil
	}
	return url, p, nil
}
