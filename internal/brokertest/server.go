package brokertest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
)

// server is a broker that is one process with one port of interest.
type server struct {
	*Process

	box  *sandbox // nil for one that is kept
	port int
}

// serverMaker returns how the process of a server is run in its folder, and when it is ready.
type serverMaker func(dir string, port int) (spec, error)

// Close kills the server and removes its folder, unless that is kept.
func (s *server) Close() error {
	s.Kill()
	if s.box == nil {
		return nil
	}
	return s.box.close()
}

// runServer starts a server in a folder of its own, whose name begins with prefix. The log of one
// whose port was taken meanwhile has the text portTaken.
func runServer(ctx context.Context, prefix string, create serverMaker, portTaken string) (*server, error) {
	return startNew(ctx, func() (*server, error) {
		box, err := newSandbox(ctx, prefix)
		if err != nil {
			return nil, err
		}
		s, err := newServer(ctx, create, box.dir, box)
		if err != nil {
			return nil, errors.Join(err, box.close())
		}
		return s, nil
	}, portTaken)
}

// newServer makes a server, which does not run yet, on a free port.
func newServer(ctx context.Context, create serverMaker, dir string, box *sandbox) (*server, error) {
	ports, err := freePorts(ctx, 1)
	if err != nil {
		return nil, err
	}
	return placeServer(create, dir, ports[0], box)
}

// placeServer makes a server in the folder "server" of dir.
func placeServer(create serverMaker, dir string, port int, box *sandbox) (*server, error) {
	dir = filepath.Join(dir, "server")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	how, err := create(dir, port)
	if err != nil {
		return nil, err
	}
	how.dir, how.guard = dir, box
	return &server{Process: &Process{spec: how}, box: box, port: port}, nil
}

// pageAnswers asks a server once for a page.
func pageAnswers(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Do(request)
	if err != nil {
		return err
	}
	_ = answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", url, answer.Status)
	}
	return nil
}
