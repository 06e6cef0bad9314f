// Command serve runs the stub of SQS and SNS as a process of its own, for benchmarks: it prints its
// URL and ends when its standard input does.
//
//	go run github.com/leatgo/leat/adapters/awssnssqs/internal/awsstub/serve
package main

import (
	"io"
	"os"

	"github.com/leatgo/leat/adapters/awssnssqs/internal/awsstub"
)

func main() {
	s := awsstub.Start()
	defer s.Close()
	_, _ = io.WriteString(os.Stdout, s.URL()+"\n")
	_, _ = io.Copy(io.Discard, os.Stdin)
}
