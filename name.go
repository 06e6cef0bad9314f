package leat

import (
	"errors"
	"fmt"
	"strings"
)

// maxNameBytes is Kafka's limit for a topic, the smallest of the brokers that Leat supports.
const maxNameBytes = 249

// CheckName returns nil for a name that a topic or a group may have: 1 to 249 bytes of letters,
// digits, '.', '_' and '-', but not "." or "..", which Kafka does not take. Otherwise the error
// says what is wrong, such as "is empty; give it a name", without a code: the caller puts it behind
// the word for what has the name, into an [*Error] with [CodeInvalid].
func CheckName(name string) error {
	if name == "" {
		return errors.New("is empty; give it a name")
	}
	if len(name) > maxNameBytes {
		return fmt.Errorf("%s is %d bytes long; at most %d are allowed", quote(name), len(name), maxNameBytes)
	}
	for i := range len(name) {
		c := name[i]
		if !isAlnum(c) && c != '.' && c != '_' && c != '-' {
			return fmt.Errorf("%s has %q; use letters, digits, '.', '_' and '-'", quote(name), c)
		}
	}
	if name == "." || name == ".." {
		return fmt.Errorf("%s is a name that Kafka does not take; use another", quote(name))
	}
	return nil
}

// CheckTopic is [CheckName] for a topic, which must not be what a broker has for itself: it does
// not begin with "amq.", as names of RabbitMQ's own do, and is none of Kafka's own, such as
// __consumer_offsets. An adapter checks the topic of a publish with it; [Subscription.Validate]
// does so for a subscription.
func CheckTopic(name string) error {
	if err := CheckName(name); err != nil {
		return err
	}
	if strings.HasPrefix(name, "amq.") {
		return fmt.Errorf("%s begins with amq., which RabbitMQ keeps for itself; use another name", quote(name))
	}
	switch name {
	case "__consumer_offsets", "__transaction_state", "__share_group_state", "__cluster_metadata":
		return fmt.Errorf("%s is a topic that Kafka keeps for itself; use another name", quote(name))
	}
	return nil
}

func isAlnum(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}
