// Package cloudevents is the bridge to the Go SDK of CloudEvents
// (github.com/cloudevents/sdk-go/v2), both ways.
//
// [ToSDK] and [FromSDK] turn an event of one into an event of the other, without loss: what the SDK
// would write anew or refuse is an error that names the attribute. [Protocol] is a Leat broker as a
// protocol of the SDK, for cloudevents.NewClient: a client sends to a topic, and receives from a
// subscription with all that a [leat.Consumer] does.
//
// What is the same, what differs and where the SDK departs from the specification is in
// docs/cloudevents.md of the repository.
package cloudevents
