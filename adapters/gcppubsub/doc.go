// Package gcppubsub lets Leat publish to and consume from Google Cloud Pub/Sub, on
// cloud.google.com/go/pubsub/v2:
//
//	broker, err := gcppubsub.New(&gcppubsub.Options{Project: "shop"})
//	if err != nil {
//		return err
//	}
//	defer broker.Close()
//	producer := leat.NewProducer(broker, nil)
//
// A topic is a Pub/Sub topic, and a group is a subscription of it. Events are messages in
// CloudEvents binary mode: attributes that begin with "ce-", and the data. The ordering key is the
// event's key, and subscriptions have message ordering, so that Pub/Sub keeps order by key for the
// whole group, unless the group is [leat.Subscription].Unordered.
//
// Credentials are the application default credentials. PUBSUB_EMULATOR_HOST names an emulator. New
// does not wait for a connection. See docs/gcppubsub.md.
package gcppubsub
