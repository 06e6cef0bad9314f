// Package awssnssqs lets Leat publish to Amazon SNS and consume from Amazon SQS, on
// aws-sdk-go-v2:
//
//	broker, err := awssnssqs.New(&awssnssqs.Options{Region: "eu-central-1"})
//	if err != nil {
//		return err
//	}
//	defer broker.Close()
//	producer := leat.NewProducer(broker, nil)
//
// A topic is an SNS topic, and a group is an SQS queue that is subscribed to it with raw delivery.
// With [ModeSQS] a topic is a queue, which one group reads. Events are messages in CloudEvents
// structured mode: JSON in the body, with a few attributes for filter policies.
//
// Topics and queues are FIFO, and the message group is the event's key, so that SQS keeps order by
// key for the whole group. The queue of a group that is [leat.Subscription].Unordered is a standard
// queue, and with [Options].Standard topics are standard too.
//
// Credentials come from the default chain of the SDK. New does not ask AWS for anything. See
// docs/awssnssqs.md.
package awssnssqs
