package brokertest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strconv"
)

// rabbitName is the name of every node, which its data holds. Each node has a port mapper of its
// own, where nobody else has the name.
const rabbitName = "leat@" + loopback

// rabbitCookie lets Erlang programs on this machine talk to each other.
const rabbitCookie = "leat"

// epmd returns the port mapper of a node as a process. Without it, the node would start one that
// stays behind.
func (k *rabbitKit) epmd(n *RabbitMQNode) *Process {
	dir := filepath.Join(n.dir, "epmd")
	return &Process{spec: spec{
		name: "rabbitmq-epmd", dir: dir, guard: n.sandbox, env: k.environment(n),
		// By a link in its folder: adopt knows a process by its folder's name in the command line,
		// and epmd takes no word that is not its own.
		args:  []string{filepath.Join(dir, "epmd"), "-address", loopback, "-port", strconv.Itoa(n.ports.EPMD)},
		ready: func(ctx context.Context) error { return listens(ctx, n.ports.EPMD) },
	}}
}

// vm returns the Erlang VM of a node as a process. The package's own scripts would do the same
// behind three shells, and would read the machine's configuration.
func (k *rabbitKit) vm(n *RabbitMQNode) *Process {
	args := []string{
		filepath.Join(k.erts, "erlexec"), "-noinput", "-s", "rabbit", "boot", "-boot", "start_sasl",
		// What the scripts say, with two schedulers, however many processors there are.
		"+W", "w", "+MBas", "ageffcbf", "+MHas", "ageffcbf", "+MBlmbcs", "512", "+MHlmbcs", "512", "+MMmcs", "30",
		"+P", "1048576", "+t", "5000000", "+zdbbl", "128000", "+S", "2:2", "+sbwt", "none", "+sbwtdcpu", "none", "+sbwtdio", "none",
		"-syslog", "logger", "[]", "-syslog", "syslog_error_logger", "false", "-kernel", "prevent_overlapping_partitions", "false",
		"-kernel", "inet_dist_use_interface", "{127,0,0,1}", "-setcookie", rabbitCookie,
	}
	return &Process{spec: spec{
		name: "rabbitmq", dir: filepath.Join(n.dir, "node"), args: args, env: k.environment(n), guard: n.sandbox,
		ready: n.ready,
		// After the SIGTERM, the management plugin's handler of events would wait for itself for
		// five seconds.
		hasten: func(ctx context.Context) {
			_, _ = n.Eval(ctx, "gen_event:delete_handler(rabbit_event, rabbit_mgmt_db_handler, [])") // no harm when it is gone
		},
	}}
}

// ready returns nil when the node has booted. It listens some milliseconds before, and does not
// count as running yet.
func (n *RabbitMQNode) ready(ctx context.Context) error {
	if err := amqpProbe(ctx, address(n.ports.AMQP)); err != nil {
		return err
	}
	state, err := n.Eval(ctx, "io:write(rabbit_boot_state:has_reached(ready))")
	if err == nil && state != "true" {
		err = errors.New("it has not booted yet")
	}
	return err
}

// listens returns nil when somebody listens on a port.
func listens(ctx context.Context, port int) error {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", address(port))
	if err != nil {
		return err
	}
	return conn.Close()
}

// environment returns all that the programs of a node see of the environment; nothing of this
// process's is passed on.
func (k *rabbitKit) environment(n *RabbitMQNode) []string {
	env := []string{
		"HOME=" + filepath.Join(n.dir, "node"), "PATH=/usr/bin:/bin", "LANG=C.UTF-8", "LC_ALL=C.UTF-8",
		"ROOTDIR=" + k.erlang, "BINDIR=" + k.erts, "EMU=beam", "PROGNAME=erl", "ERL_LIBS=" + k.plugins, "ERL_MAX_ETS_TABLES=50000",
		"ERL_CRASH_DUMP_SECONDS=0", "ERL_EPMD_ADDRESS=" + loopback, fmt.Sprintf("ERL_EPMD_PORT=%d", n.ports.EPMD), "SYS_PREFIX=",
	}
	for name, value := range map[string]string{
		"HOME": k.server, "PLUGINS_DIR": k.plugins, "NODENAME": rabbitName, "USE_LONGNAME": "true",
		"CONF_ENV_FILE": n.file("rabbitmq-env.conf"), "CONFIG_FILE": n.file("rabbitmq.conf"),
		"ADVANCED_CONFIG_FILE": n.file("advanced.config"), "ENABLED_PLUGINS_FILE": n.file("enabled_plugins"),
		"GENERATED_CONFIG_DIR": n.file("config"), "SCHEMA_DIR": n.file("config"), "LOG_BASE": n.file("log"),
		"MNESIA_BASE": n.file("data"), "PID_FILE": n.file("rabbitmq.pid"), "DIST_PORT": strconv.Itoa(n.ports.Distribution),
	} {
		env = append(env, "RABBITMQ_"+name+"="+value)
	}
	return env
}
