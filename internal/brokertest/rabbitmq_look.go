package brokertest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
)

// RabbitMQConnection is a client's connection as the node sees it now. The management API would
// tell it a second later.
type RabbitMQConnection struct {
	PID        string // of the Erlang process
	Name       string // of the connection as the client gave it, empty when it gave none
	User       string
	VHost      string
	State      string // "running", "blocking", "blocked" and others
	Channels   int
	TLS        bool
	RemotePort int
}

// Connections returns the connections of clients that have logged in.
func (n *RabbitMQNode) Connections(ctx context.Context) ([]RabbitMQConnection, error) {
	var all []RabbitMQConnection
	err := n.evalJSON(ctx, &all, `
[begin
	G = fun(K) -> proplists:get_value(K, I) end,
	Name = case [V || {<<"connection_name">>, _, V} <- G(client_properties)] of [V|_] -> V; [] -> <<>> end,
	#{'PID' => list_to_binary(pid_to_list(G(pid))), 'Name' => Name, 'User' => G(user), 'VHost' => G(vhost), 'State' => G(state),
		'Channels' => G(channels), 'TLS' => G(ssl), 'RemotePort' => G(peer_port)}
end || I <- rabbit_networking:connection_info_all([pid, client_properties, user, vhost, state, channels, ssl, peer_port]),
	is_binary(proplists:get_value(user, I)), is_binary(proplists:get_value(vhost, I))]`)
	return all, err
}

// RabbitMQQueue is a queue as it is now. The management API would tell it some seconds later.
type RabbitMQQueue struct {
	Name       string
	Type       string // "classic", "quorum" or "stream"
	Durable    bool
	AutoDelete bool
	Arguments  map[string]any
	Ready      int // messages that wait
	Unacked    int // messages that consumers have
	Consumers  int

	// Down says why the figures are not known, such as that a quorum queue has no leader; empty
	// when they are.
	Down string
}

// rabbitQueues has the figures of a quorum queue from its leader: what the queue itself tells is
// renewed once in a while.
const rabbitQueues = `
[begin
	Type = case amqqueue:get_type(Q) of rabbit_quorum_queue -> quorum; rabbit_stream_queue -> stream; _ -> classic end,
	Figures = case Type of
		quorum ->
			F = fun(S) ->
				{rabbit_fifo:query_messages_ready(S), rabbit_fifo:query_messages_checked_out(S), rabbit_fifo:query_consumer_count(S)}
			end,
			case ra:leader_query(amqqueue:get_pid(Q), F, 2000) of
				{ok, {_, Result}, _} -> Result;
				Other -> {'EXIT', Other}
			end;
		_ ->
			catch begin
				I = rabbit_amqqueue:info(Q, [messages_ready, messages_unacknowledged, consumers]),
				{proplists:get_value(messages_ready, I), proplists:get_value(messages_unacknowledged, I),
					proplists:get_value(consumers, I)}
			end
	end,
	{Ready, Unacked, Consumers, Down} = case Figures of
		{A, B, C} when is_integer(A), is_integer(B), is_integer(C) -> {A, B, C, <<>>};
		Why -> {0, 0, 0, iolist_to_binary(io_lib:format("~0p", [Why]))}
	end,
	{resource, _, _, Name} = amqqueue:get_name(Q),
	#{'Name' => Name, 'Type' => Type, 'Durable' => amqqueue:is_durable(Q), 'AutoDelete' => amqqueue:is_auto_delete(Q),
		'Arguments' => rabbit_misc:amqp_table(amqqueue:get_arguments(Q)),
		'Ready' => Ready, 'Unacked' => Unacked, 'Consumers' => Consumers, 'Down' => Down}
end || Q <- %s]`

// Queues returns the queues of a virtual host.
func (n *RabbitMQNode) Queues(ctx context.Context, vhost string) ([]RabbitMQQueue, error) {
	var all []RabbitMQQueue
	return all, n.evalJSON(ctx, &all, fmt.Sprintf(rabbitQueues, "rabbit_amqqueue:list("+erlangBinary(vhost)+")"))
}

// ErrNoQueue is returned for a queue that does not exist.
var ErrNoQueue = errors.New("there is no such queue")

// Queue returns one queue of a virtual host; the error wraps ErrNoQueue when there is none.
func (n *RabbitMQNode) Queue(ctx context.Context, vhost, name string) (RabbitMQQueue, error) {
	var found []RabbitMQQueue
	lookup := fmt.Sprintf("case rabbit_amqqueue:lookup(rabbit_misc:r(%s, queue, %s)) of {ok, Found} -> [Found]; _ -> [] end",
		erlangBinary(vhost), erlangBinary(name))
	if err := n.evalJSON(ctx, &found, fmt.Sprintf(rabbitQueues, lookup)); err != nil {
		return RabbitMQQueue{}, err
	}
	if len(found) > 0 {
		return found[0], nil
	}
	return RabbitMQQueue{}, fmt.Errorf("%w: %q in %q", ErrNoQueue, name, vhost)
}

// RabbitMQExchange is an exchange, as the management API writes it.
type RabbitMQExchange struct {
	Name       string         `json:"name"`
	Type       string         `json:"type"`
	Durable    bool           `json:"durable"`
	AutoDelete bool           `json:"auto_delete"`
	Internal   bool           `json:"internal"`
	Arguments  map[string]any `json:"arguments"`
}

// Exchanges returns the exchanges of a virtual host, those among them that every virtual host has.
func (n *RabbitMQNode) Exchanges(ctx context.Context, vhost string) ([]RabbitMQExchange, error) {
	var all []RabbitMQExchange
	return all, n.Manage(ctx, http.MethodGet, "/api/exchanges/"+url.PathEscape(vhost), nil, &all)
}

// RabbitMQBinding is a binding, as the management API writes it.
type RabbitMQBinding struct {
	Source          string         `json:"source"` // an exchange; empty for the one that each queue has to the default exchange
	Destination     string         `json:"destination"`
	DestinationType string         `json:"destination_type"` // "queue" or "exchange"
	RoutingKey      string         `json:"routing_key"`
	Arguments       map[string]any `json:"arguments"`
}

// Bindings returns the bindings of a virtual host.
func (n *RabbitMQNode) Bindings(ctx context.Context, vhost string) ([]RabbitMQBinding, error) {
	var all []RabbitMQBinding
	return all, n.Manage(ctx, http.MethodGet, "/api/bindings/"+url.PathEscape(vhost), nil, &all)
}
