// Package awsstub is SQS and SNS in memory over HTTP, as AWS documents them where the local servers
// differ, with faults on request. It is for tests.
//
// It speaks the protocols of the SDK: JSON for SQS, forms and XML for SNS. It checks who signs,
// when and for which region, and not the signature itself.
package awsstub

import (
	"context"
	"encoding/json"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"time"
)

// What the stub is, for clients that talk to it.
const (
	Region  = "us-east-1"
	Account = "000000000000"
	KeyID   = "test" // of the only credentials; any secret is accepted
)

const (
	dedupFor   = 5 * time.Minute // duplicates and repeated receives are recognized
	longest    = 12 * time.Hour  // visibility, from the receive
	mostSkew   = 5 * time.Minute // of a signature
	mostBytes  = 1 << 20         // of a message, and of a batch
	snsBytes   = 256 << 10       // the default of a topic
	mostOfAll  = 10              // entries of a batch, and attributes of a message
	maxRequest = 16 << 20
)

// Server is the stub. It is safe for concurrent use.
type Server struct {
	address string // the same over restarts

	mu      sync.Mutex
	http    *httptest.Server
	life    context.Context // ends when the stub is killed or closed
	end     context.CancelFunc
	gate    chan struct{} // closed when the stub goes on; nil while it is not paused
	offset  time.Duration // of the time of messages
	skew    time.Duration // of the time of requests
	serial  uint64
	queues  map[string]*queue // by name
	deleted map[string]time.Time
	topics  map[string]*topic // by ARN
	faults  []*fault
	calls   map[string]int
}

// Start starts a stub. The caller closes it.
func Start() *Server {
	s := &Server{queues: map[string]*queue{}, deleted: map[string]time.Time{}, topics: map[string]*topic{}, calls: map[string]int{}}
	server := httptest.NewUnstartedServer(nil)
	s.address = server.Listener.Addr().String()
	s.live(server)
	return s
}

// live begins to answer.
func (s *Server) live(server *httptest.Server) {
	life, end := context.WithCancel(context.Background())
	server.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.serve(life, w, r) })
	s.mu.Lock()
	s.http, s.life, s.end = server, life, end
	s.mu.Unlock()
	server.Start()
}

// URL returns the endpoint of both services.
func (s *Server) URL() string { return "http://" + s.address }

// Close ends everything that waits, and stops the stub.
func (s *Server) Close() { s.Kill() }

// Kill ends the listener, all connections and all requests, as when the services are down. A
// request that waits for messages gets none. What is stored, lent and known as sent stays.
func (s *Server) Kill() {
	s.mu.Lock()
	server := s.http
	s.end()
	s.mu.Unlock()
	server.CloseClientConnections()
	server.Close()
}

// Start lets a killed stub listen at its address again, which nobody else may have taken.
func (s *Server) Start(ctx context.Context) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", s.address)
	if err != nil {
		return err
	}
	s.live(&httptest.Server{Listener: listener, Config: &http.Server{ReadHeaderTimeout: time.Minute}})
	return nil
}

// Pause holds every request, and every answer, until Resume. Connections stay open.
func (s *Server) Pause() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gate == nil {
		s.gate = make(chan struct{})
	}
	return nil
}

// Resume lets the stub go on.
func (s *Server) Resume() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gate != nil {
		close(s.gate)
		s.gate = nil
	}
	return nil
}

// pass waits while the stub is paused.
func (s *Server) pass(life context.Context) {
	s.mu.Lock()
	gate := s.gate
	s.mu.Unlock()
	if gate == nil {
		return
	}
	select {
	case <-gate:
	case <-life.Done():
	}
}

// Skew makes the clocks of the clients wrong: the stub is so far ahead when it checks signatures,
// and dates its answers.
func (s *Server) Skew(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.skew = d
}

// Advance moves the time of messages forward, as if they had waited.
func (s *Server) Advance(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.offset += d
	for _, q := range s.queues {
		q.wake()
	}
}

// Calls returns how often each action was called.
func (s *Server) Calls() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.calls)
}

func (s *Server) now() time.Time { return time.Now().Add(s.offset) }

// next returns a number that was not used before, and that grows.
func (s *Server) next() uint64 {
	s.serial++
	return s.serial
}

// serve answers one request.
func (s *Server) serve(life context.Context, w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxRequest))
	if err != nil {
		return
	}
	s.pass(life)
	action, isJSON := strings.CutPrefix(r.Header.Get("X-Amz-Target"), "AmazonSQS.")
	var answer answerer = xmlAnswer{}
	var form values
	if isJSON {
		answer = jsonAnswer{}
	} else if form, err = parseForm(body); err != nil {
		answer.fail(w, invalid("InvalidParameter", err.Error()))
		return
	} else {
		action = form["Action"]
	}
	w.Header().Set("Date", s.clock().UTC().Format(http.TimeFormat))
	f := s.strike(action)
	if f != nil && f.PerEntry {
		f = nil // the action asks for it
	}
	if problem := s.admit(r); problem != nil {
		answer.fail(w, problem)
		return
	}
	if f != nil && !s.suffer(life, w, answer, f) {
		return
	}
	var out any
	if isJSON {
		out, err = s.doSQS(life, action, body)
	} else {
		out, err = s.doSNS(action, form)
	}
	s.pass(life)
	switch {
	case f != nil && f.Lose || life.Err() != nil:
		abort()
	case err != nil:
		answer.fail(w, asProblem(err))
	default:
		answer.ok(w, action, out)
	}
}

// clock is the time of requests.
func (s *Server) clock() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return time.Now().Add(s.skew)
}

var credential = regexp.MustCompile(`Credential=([^/]+)/\d+/([^/]+)/(sqs|sns)/aws4_request`)

// admit checks who has signed a request, when, and for which region.
func (s *Server) admit(r *http.Request) *problem {
	parts := credential.FindStringSubmatch(r.Header.Get("Authorization"))
	if parts == nil {
		return &problem{"MissingAuthenticationToken", "Request is missing Authentication Token", http.StatusForbidden}
	}
	signed, err := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date"))
	switch {
	case parts[1] != KeyID:
		return &problem{"InvalidClientTokenId", "The security token included in the request is invalid.", http.StatusForbidden}
	case parts[2] != Region:
		return &problem{"SignatureDoesNotMatch", "Credential should be scoped to a valid region.", http.StatusForbidden}
	case err != nil || signed.Sub(s.clock()).Abs() > mostSkew:
		return &problem{"SignatureDoesNotMatch", "Signature expired: the request is not of now", http.StatusForbidden}
	}
	return nil
}

// operation does what a request with JSON asks for. The life of the stub may end meanwhile.
type operation func(life context.Context, s *Server, body []byte) (any, error)

// doSQS runs an action whose arguments are JSON.
func (s *Server) doSQS(life context.Context, action string, body []byte) (any, error) {
	do, ok := sqsActions[action]
	if !ok {
		return nil, invalid("InvalidAction", action)
	}
	return do(life, s, body)
}

// sqsAction makes an action of a method.
func sqsAction[I any](method func(s *Server, in *I) (any, error)) operation {
	return func(_ context.Context, s *Server, body []byte) (any, error) {
		var in I
		if err := json.Unmarshal(body, &in); err != nil {
			return nil, invalid("MalformedInput", err.Error())
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		return method(s, &in)
	}
}
