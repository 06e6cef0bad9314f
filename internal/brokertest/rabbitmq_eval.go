package brokertest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

const evalTimeout = 15 * time.Second

// Eval evaluates Erlang expressions, separated by commas, in the node, and returns what they print.
// That is what rabbitmqctl does too, but it boots an Erlang VM of its own for half a second, and
// this takes some milliseconds.
func (n *RabbitMQNode) Eval(ctx context.Context, expressions string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, evalTimeout)
	defer cancel()
	// What an expression returns is told apart from an error, which is not in the exit code.
	const done = "\x04"
	code := strings.TrimRight(expressions, ". \n") + ", io:put_chars([4]).\n"
	// The node refuses a second caller of a name, and the names that erl_call can make up are the
	// same within a second.
	name := fmt.Sprintf("call-%d-%d", os.Getpid(), n.evals.Add(1))
	cmd := exec.CommandContext(ctx, filepath.Join(n.kit.erlang, "bin", "erl_call"),
		"-c", rabbitCookie, "-name", rabbitName, "-h", name, "-e", "-fetch_stdout")
	cmd.Env, cmd.Dir, cmd.Stdin = n.kit.environment(n), n.Dir(), strings.NewReader(code)
	cmd.WaitDelay = time.Second
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	text, result, ok := strings.Cut(out.String(), done)
	if err != nil || !ok {
		return "", fmt.Errorf("evaluate in %s: %w: %s%s", n.spec.name, errors.Join(err, ctx.Err(), errEval), text, result)
	}
	return text, nil
}

// errEval is wrapped by the error of an expression that has failed.
var errEval = errors.New("the expression failed")

// evalJSON evaluates an expression whose value RabbitMQ's encoder can make JSON of.
func (n *RabbitMQNode) evalJSON(ctx context.Context, to any, expression string) error {
	text, err := n.Eval(ctx, "io:put_chars(rabbit_json:encode(begin "+expression+" end))")
	if err != nil {
		return err
	}
	if err := json.Unmarshal([]byte(text), to); err != nil {
		return fmt.Errorf("evaluate in %s: %w: %s", n.spec.name, err, text)
	}
	return nil
}

// erlangBinary writes a text as a literal of Erlang.
func erlangBinary(text string) string {
	bytes := make([]string, len(text))
	for i := range len(text) {
		bytes[i] = strconv.Itoa(int(text[i]))
	}
	return "<<" + strings.Join(bytes, ",") + ">>"
}
