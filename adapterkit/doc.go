// Package adapterkit has what more than one adapter needs and none should write by itself.
//
// # Names
//
// Leat's names have letters, digits, '.', '_' and '-', up to 249 bytes. Many brokers take less.
// [Names] makes the name of a queue or a subscription of a topic and a group for such a broker.
// Names that fit stay as they are, so that people find them:
//
//	sqs := adapterkit.Names{MaxBytes: 80}
//	sqs.Name("orders", "billing")    // orders_billing
//	sqs.Name("orders.eu", "billing") // orders-eu_billing-58b23956
//
// An adapter does not rely on a hash of 32 bits alone. Where it creates something under such a
// name, it writes topic and group beside it, as the broker's tags, labels or metadata, and where
// something of that name exists with another topic or group, it refuses that with
// [github.com/leatgo/leat.CodeConflict] and says both. So two groups never share a queue in
// silence.
package adapterkit
