package brokertest

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// kafkaProperties returns the server.properties of node n of a cluster. The options' lines come
// last, because Java takes the last of two lines with the same name.
func kafkaProperties(nodes []*kafkaNode, n *kafkaNode, opts *KafkaOptions) string {
	var b strings.Builder
	line := func(name string, value any) { fmt.Fprintf(&b, "%s=%v\n", name, value) }
	line("process.roles", "broker,controller")
	line("node.id", n.id)
	var voters []string
	for _, other := range nodes {
		voters = append(voters, fmt.Sprintf("%d@%s", other.id, address(other.ports[1])))
	}
	line("controller.quorum.voters", strings.Join(voters, ","))
	line("log.dirs", n.data)

	replicas, inSync := min(len(nodes), 3), min(len(nodes), 2)
	for _, name := range []string{"default", "offsets.topic", "transaction.state.log", "share.coordinator.state.topic"} {
		line(name+".replication.factor", replicas)
	}
	for _, name := range []string{"min.insync.replicas", "transaction.state.log.min.isr", "share.coordinator.state.topic.min.isr"} {
		line(name, inSync)
	}

	listenerLines(line, n, opts)
	if opts.Certs != nil {
		line("ssl.keystore.type", "PEM")
		line("ssl.keystore.location", opts.Certs.ServerBothFile)
		line("ssl.truststore.type", "PEM")
		line("ssl.truststore.location", opts.Certs.CAFile)
	}
	if opts.Authorize {
		line("authorizer.class.name", "org.apache.kafka.metadata.authorizer.StandardAuthorizer")
		line("super.users", "User:ANONYMOUS")
	}
	b.WriteString(kafkaServer)
	for _, name := range slices.Sorted(maps.Keys(opts.Properties)) {
		line(name, opts.Properties[name])
	}
	return b.String()
}

// listenerLines writes the lines about where and how the node listens.
func listenerLines(line func(name string, value any), n *kafkaNode, opts *KafkaOptions) {
	listeners := []string{"PLAINTEXT://" + address(n.ports[0]), "CONTROLLER://" + address(n.ports[1])}
	advertised := []string{listeners[0]}
	protocols := []string{"PLAINTEXT:PLAINTEXT", "CONTROLLER:PLAINTEXT"}
	for i, l := range opts.Listeners {
		at := address(n.ports[2+i])
		listeners = append(listeners, l.Name+"://"+at)
		if n.id <= len(l.Advertised) {
			at = l.Advertised[n.id-1]
		}
		advertised = append(advertised, l.Name+"://"+at)
		protocols = append(protocols, l.Name+":"+l.Protocol)

		prefix := "listener.name." + strings.ToLower(l.Name) + "."
		if l.ClientCert {
			line(prefix+"ssl.client.auth", "required")
		}
		if strings.HasPrefix(l.Protocol, "SASL_") {
			loginLines(line, prefix, opts.Users)
		}
	}
	line("listeners", strings.Join(listeners, ","))
	line("advertised.listeners", strings.Join(advertised, ","))
	line("inter.broker.listener.name", "PLAINTEXT")
	line("controller.listener.names", "CONTROLLER")
	line("listener.security.protocol.map", strings.Join(protocols, ","))
}

// loginLines writes the lines that let users log in. Those of SCRAM are in the data folder.
func loginLines(line func(name string, value any), prefix string, users map[string]string) {
	const scram = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
	var plain strings.Builder
	for _, name := range slices.Sorted(maps.Keys(users)) {
		fmt.Fprintf(&plain, " user_%s=%q", name, users[name])
	}
	line(prefix+"sasl.enabled.mechanisms", "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512")
	line(prefix+"plain.sasl.jaas.config", "org.apache.kafka.common.security.plain.PlainLoginModule required"+plain.String()+";")
	line(prefix+"scram-sha-256.sasl.jaas.config", scram)
	line(prefix+"scram-sha-512.sasl.jaas.config", scram)
}
