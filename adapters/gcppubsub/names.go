package gcppubsub

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"github.com/leatgo/leat/internal/googlepubsub"
)

// mostLabelBytes is the longest value of a label.
const mostLabelBytes = 63

// TopicName returns how Pub/Sub calls a topic: as Leat does, where its rules allow that.
func TopicName(topic string) string { return googlepubsub.Name(topic) }

// SubscriptionName returns how Pub/Sub calls the subscription of a group: topic_group, where its
// rules allow that and nothing else could be meant.
func SubscriptionName(topic, group string) string { return googlepubsub.Name(topic, group) }

// path returns the full name of a topic or a subscription. A name of the application's may be full
// already.
func (o *Options) path(kind, name string) string {
	if strings.HasPrefix(name, "projects/") {
		return name
	}
	return "projects/" + o.Project + "/" + kind + "/" + name
}

// topicPath returns the full name of a topic, and whether Leat may create it.
func (b *Broker) topicPath(topic string) (path string, own bool) {
	if name := b.o.Topics[topic]; name != "" {
		return b.o.path("topics", name), false
	}
	return b.o.path("topics", TopicName(topic)), true
}

// subscriptionPath is topicPath for a subscription.
func (b *Broker) subscriptionPath(topic, group string) (path string, own bool) {
	if name := b.o.Subscriptions[Group{topic, group}]; name != "" {
		return b.o.path("subscriptions", name), false
	}
	return b.o.path("subscriptions", SubscriptionName(topic, group)), true
}

// short returns the name at the end of a full one.
func short(path string) string { return path[strings.LastIndexByte(path, '/')+1:] }

// label returns a name as the value of a label: lower-case letters, digits, '-' and '_', or the
// first digits of its SHA-256.
func label(name string) string {
	legal := len(name) <= mostLabelBytes && !strings.ContainsFunc(name, func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_'
	})
	if legal {
		return name
	}
	h := sha256.Sum256([]byte(name))
	return "sha256-" + hex.EncodeToString(h[:24])
}

// deadLetters returns the full name of the dead-letter topic.
func (o *Options) deadLetters() string { return o.path("topics", o.DeadLetterTopic) }
