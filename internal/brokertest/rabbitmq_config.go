package brokertest

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// rabbitPlugins are the plugins of every node: the management API, and logins by certificate.
const rabbitPlugins = "[rabbitmq_management,rabbitmq_auth_mechanism_ssl].\n"

// rabbitAdvanced is what rabbitmq.conf has no words for: consumer_timeout is looked at once a
// second instead of once a minute, and the figures of a quorum queue are as fresh as those of
// others.
const rabbitAdvanced = "[{rabbit, [{channel_tick_interval, 1000}, {quorum_tick_interval, 1000}]}].\n"

// What the alarms go back to.
const (
	rabbitMemory = "1GB"
	rabbitDisk   = "50MB"
)

// config returns the node's rabbitmq.conf. The options' lines come last, because the last of two
// lines with the same name counts.
func (n *RabbitMQNode) config() string {
	var b strings.Builder
	line := func(name string, value any) { fmt.Fprintf(&b, "%s = %v\n", name, value) }
	line("listeners.tcp.1", address(n.ports.AMQP))
	line("management.tcp.ip", loopback)
	line("management.tcp.port", n.ports.Management)
	line("num_acceptors.tcp", 2)
	line("vm_memory_high_watermark.absolute", rabbitMemory)
	line("disk_free_limit.absolute", rabbitDisk)
	line("collect_statistics_interval", 1000)
	line("log.file", false)
	line("log.console", true)
	line("log.console.level", "info")
	line("log.console.use_colors", "off")
	if n.opts.Certs != nil {
		line("listeners.ssl.1", address(n.ports.TLS))
		line("num_acceptors.ssl", 2)
		line("ssl_options.cacertfile", n.opts.Certs.CAFile)
		line("ssl_options.certfile", n.opts.Certs.ServerFile)
		line("ssl_options.keyfile", n.opts.Certs.ServerKeyFile)
		line("ssl_options.verify", "verify_peer")
		line("ssl_options.fail_if_no_peer_cert", n.opts.ClientCert)
		line("ssl_cert_login_from", "common_name")
		for i, mechanism := range []string{"PLAIN", "AMQPLAIN", "EXTERNAL"} {
			line(fmt.Sprintf("auth_mechanisms.%d", i+1), mechanism)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(n.opts.Config)) {
		line(name, n.opts.Config[name])
	}
	return b.String()
}
