// Package googlecloud is Leat over watermill-googlecloud, configured so that it loses nothing. It
// is for services that have to stay with watermill-googlecloud; for all others, adapters/gcppubsub
// is the better way to Google Cloud Pub/Sub: it publishes and acknowledges many events in a call,
// and tells a handler whose message Pub/Sub has taken away.
//
//	broker, err := googlecloud.New(&googlecloud.Options{Project: "shop"})
//
// A topic is one of Pub/Sub with the same name. A group is a subscription of it, "topic_group", as
// adapters/gcppubsub names and creates it. Both packages write the same messages.
//
// What differs from watermill-googlecloud's own defaults: the key of an event is its ordering key,
// and subscriptions keep the order of ordering keys; subscriptions never expire; a topic that does
// not exist is an error of a publish, instead of a new topic without a subscription that loses what
// was published; a publish goes out within a millisecond; a message of any form becomes one of
// Watermill; a subscription that was deleted or may not be read closes its channel, and with it
// shows in health; several streams of a group work in one process.
//
// What cannot be configured: one message of a key is handled at a time, and a handler is not told
// when Pub/Sub takes its message away, because the client extends deadlines by itself and reports
// no failure of that. While Pub/Sub cannot be reached, only publishing shows it in health.
package googlecloud
