package rabbitmq

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapterkit/fault"
)

// management asks the management API, with the credentials of the connections.
type management struct {
	o      *Options
	client *http.Client
}

// mostAnswered is how many bytes of an answer are read.
const mostAnswered = 4 << 20

// newManagement returns nil where the options name no API.
func newManagement(o *Options) *management {
	if o.ManagementURL == "" {
		return nil
	}
	return &management{o: o, client: &http.Client{
		Transport:     &http.Transport{TLSClientConfig: o.TLS.Clone(), DisableKeepAlives: true}, // nothing is left behind by a request
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// ask is get about an exchange or a queue, which the error names.
func (m *management) ask(ctx context.Context, t *topology, what, name string, answer any, path ...string) error {
	if err := m.get(ctx, answer, path...); err != nil {
		return topologyError(t.sub.Topic, codeOf(err), "%s %q, by the management API: %w", what, name, err)
	}
	return nil
}

// get reads /api/ and the segments of path into answer.
func (m *management) get(ctx context.Context, answer any, path ...string) error {
	escaped := make([]string, len(path))
	for i, segment := range path {
		escaped[i] = url.PathEscape(segment)
	}
	address, err := url.JoinPath(m.o.ManagementURL, append([]string{"api"}, escaped...)...)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	user, password, err := m.o.Credentials(ctx)
	if err != nil {
		return err
	}
	request.SetBasicAuth(user, password)
	response, err := m.client.Do(request)
	if urlErr, ok := errors.AsType[*url.Error](err); ok {
		err = urlErr.Err // without the URL
	}
	if err != nil {
		return err
	}
	defer response.Body.Close() //nolint:errcheck // it was read
	if err := status(response.StatusCode); err != nil {
		return err
	}
	decoder := json.NewDecoder(io.LimitReader(response.Body, mostAnswered))
	decoder.UseNumber()
	if err := decoder.Decode(answer); err != nil {
		return fmt.Errorf("what answers is no management API: %w", err)
	}
	return nil
}

// status returns the error of an answer that is none of 200.
func status(code int) error {
	switch code {
	case http.StatusOK:
		return nil
	case http.StatusNotFound:
		return fault.Errorf("verify", "", leat.CodeNotFound, "the management API does not know it")
	case http.StatusUnauthorized:
		return fault.Errorf("verify", "", leat.CodePermissionDenied,
			"the management API does not let the user in; its tags must include management")
	case http.StatusForbidden:
		return fault.Errorf("verify", "", leat.CodePermissionDenied, "the management API refuses the user the virtual host")
	}
	return fault.Errorf("verify", "", leat.CodeUnavailable, "the management API answered with status %d", code)
}
