package confluent

import "net/http"

// mostBytes bounds an answer. The client reads all that it gets.
const mostBytes = 16 << 20

// bounded sends requests, and ends answers that are too long with an error.
type bounded struct{ http.RoundTripper }

// RoundTrip implements [http.RoundTripper].
func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := b.RoundTripper.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	answer.Body = http.MaxBytesReader(nil, answer.Body, mostBytes)
	return answer, nil
}
