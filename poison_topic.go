package leat

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
)

// The last part of the name of a poison topic.
const (
	poisonPart          = "poison"                  // of a group without a dot
	poisonPartMany      = poisonPart + "-"          // of a group with dots, before the number of its parts
	poisonPartBroadcast = poisonPart + "-broadcast" // of a broadcast, which has no group
)

// PoisonTopic returns the topic that poisoned events of a group go to: "<topic>.<group>.poison". For a group with dots it is
// "<topic>.<group>.poison-N", where N is the number of the group's parts between dots, because topic and group could not be told apart
// otherwise: "orders.eu.billing.poison" belongs to the topic orders.eu, "orders.eu.billing.poison-2" to the topic orders. For a
// broadcast, whose group is empty, it is "<topic>.poison-broadcast". So no two pairs of topic and group share a poison topic.
func PoisonTopic(topic, group string) string {
	if group == "" {
		return topic + "." + poisonPartBroadcast
	}
	return topicOfGroup(topic, group, poisonPart)
}

// topicOfGroup returns a topic that belongs to a group of a topic for the purpose that last names: "<topic>.<group>.<last>", or, where the
// group has dots, "<topic>.<group>.<last>-<parts of the group>". So no two pairs of topic and group share one.
func topicOfGroup(topic, group, last string) string {
	name := topic + "." + group + "." + last
	if dots := strings.Count(group, "."); dots > 0 {
		name += "-" + strconv.Itoa(dots+1)
	}
	return name
}

// poisonedTopic is the way back from PoisonTopic to the topic: it returns false where name is no poison topic.
func poisonedTopic(name string) (string, bool) {
	rest, last, ok := cutLast(name)
	parts := 1
	switch {
	case !ok:
		return "", false
	case last == poisonPartBroadcast:
		return rest, rest != ""
	case last != poisonPart:
		n, err := strconv.Atoi(strings.TrimPrefix(last, poisonPartMany))
		if err != nil || n < 2 || last != poisonPartMany+strconv.Itoa(n) {
			return "", false
		}
		parts = n
	}
	topic, group := rest, ""
	for range parts {
		var part string
		if topic, part, ok = cutLast(topic); !ok {
			return "", false
		}
		group = part + group
	}
	return topic, topic != "" && (group != "" || parts > 1)
}

// cutLast cuts a name at its last dot.
func cutLast(name string) (rest, last string, found bool) {
	i := strings.LastIndexByte(name, '.')
	if i < 0 {
		return "", "", false
	}
	return name[:i], name[i+1:], true
}

// isPoisonTopicOf reports whether poison is PoisonTopic(topic, group) for some group: the poison topic of a group that replays a poison
// topic belongs to the first topic too.
func isPoisonTopicOf(poison, topic string) bool {
	for {
		of, ok := poisonedTopic(poison)
		if !ok || of == topic {
			return ok
		}
		poison = of
	}
}

// poisonSharer is implemented by a PoisonQueue that several groups may share a topic of on purpose.
type poisonSharer interface{ Shared() bool }

// poisonTopic is where c's rejected events go, or empty.
func (c *Consumer) poisonTopic() string {
	if c.o.PoisonQueue == nil {
		return ""
	}
	return c.o.PoisonQueue.Topic(c.sub)
}

// checkPoisonTopics returns an error when a poison topic of the consumers is not a valid name, or is that of two topics or groups on one
// broker without being meant to be shared.
func checkPoisonTopics(consumers []*Consumer) error {
	topics := make([]string, len(consumers))
	for i, c := range consumers {
		topic := c.poisonTopic()
		topics[i] = topic
		refuse := func(format string, args ...any) error {
			return &Error{Op: "run", Topic: c.sub.Topic, Code: CodeInvalid, Err: fmt.Errorf(format, args...)}
		}
		switch err := CheckTopic(topic); {
		case topic == "":
			continue
		case err != nil:
			return refuse("the poison topic of group %s %w; use shorter names, or a PoisonQueue that has names of its own", quote(c.sub.Group), err)
		case topic == c.sub.Topic:
			return refuse("the poison topic of group %s is the topic itself", quote(c.sub.Group))
		}
		sharer, ok := c.o.PoisonQueue.(poisonSharer)
		if shared := ok && sharer.Shared(); shared {
			continue
		}
		for j, other := range consumers[:i] {
			if topics[j] == topic && sameBroker(c.broker, other.broker) && (c.sub.Topic != other.sub.Topic || c.sub.Group != other.sub.Group) {
				return refuse("group %s would share the poison topic %s with group %s of topic %s; use other names, or PoisonOptions.Shared",
					quote(c.sub.Group), quote(topic), quote(other.sub.Group), quote(other.sub.Topic))
			}
		}
	}
	return nil
}

// sameBroker reports whether a and b are one broker; of values that cannot be compared nobody knows.
func sameBroker(a, b Broker) bool {
	return reflect.ValueOf(a).Comparable() && reflect.ValueOf(b).Comparable() && a == b
}
