package gcppubsub

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	pb "cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"github.com/leatgo/leat"
)

// differences are what is not as a plan says. All of them are in one error.
type differences struct {
	verify bool // nothing is changed, and everything is compared
	found  []error
	code   leat.Code // of the worst
}

func (d *differences) note(code leat.Code, err error) {
	if len(d.found) == 0 || code == leat.CodeUnsupported || d.code == leat.CodeNotFound {
		d.code = code
	}
	d.found = append(d.found, err)
}

// addf notes what exists in another form.
func (d *differences) addf(format string, args ...any) {
	d.note(leat.CodeConflict, fmt.Errorf(format, args...))
}

// cannotf notes what cannot be held.
func (d *differences) cannotf(format string, args ...any) {
	d.note(leat.CodeUnsupported, fmt.Errorf(format, args...))
}

// missing notes what does not exist.
func (d *differences) missing(what, path string) {
	d.note(leat.CodeNotFound, errors.Unwrap(missing(what, path)))
}

func (d *differences) compare(what string, is, want any) {
	if is != want {
		d.addf("%s is %v and should be %v", what, is, want)
	}
}

// err returns all differences, or nil.
func (d *differences) err() error {
	if len(d.found) == 0 {
		return nil
	}
	return &leat.Error{Code: d.code, Err: errors.Join(d.found...)}
}

// topic compares a topic with what Leat would create.
func (d *differences) topic(p *plan, is *pb.Topic, o *Options) {
	if !d.verify || !p.ownTopic {
		return
	}
	what := fmt.Sprintf("of the topic %q", short(p.topic))
	if want := o.TopicRetention; want > 0 {
		d.compare("the retention "+what, is.GetMessageRetentionDuration().AsDuration(), want)
	}
	if regions := is.GetMessageStoragePolicy().GetAllowedPersistenceRegions(); len(o.Regions) > 0 {
		d.compare("the list of regions "+what, sorted(regions), sorted(o.Regions))
	}
}

func sorted(list []string) string {
	list = slices.Clone(list)
	slices.Sort(list)
	return strings.Join(list, ",")
}

// held compares a subscription with what a stream needs.
func (d *differences) held(p *plan, is *pb.Subscription) {
	what := fmt.Sprintf("the subscription %q", short(p.path))
	if kind := kindOf(is); kind != "" {
		d.cannotf("%s is %s, from which nothing can be pulled; give the group another subscription by Options.Subscriptions, "+
			"or make it one of the type pull", what, kind)
	}
	if is.GetDetached() || is.GetTopic() == "_deleted-topic_" {
		d.addf("%s is detached from its topic, or the topic was deleted, so that nothing more comes; delete it", what)
	} else {
		d.compare("the topic of "+what, is.GetTopic(), p.topic)
	}
	if !p.sub.Unordered && !is.GetEnableMessageOrdering() {
		d.cannotf("%s has no message ordering, which cannot be changed; set Subscription.Unordered, or delete it", what)
	}
	if !p.sub.Unordered && is.GetDeadLetterPolicy() != nil {
		d.cannotf("%s has a dead-letter topic (Options.DeadLetterTopic), so that Pub/Sub does not keep its order; set "+
			"Subscription.Unordered, or remove the dead-letter topic and let Leat have a poison queue", what)
	}
	for name, want := range map[string]string{topicLabel: p.sub.Topic, groupLabel: p.sub.Group} {
		if has, ok := is.GetLabels()[name]; ok && has != label(want) && p.ownSub {
			d.addf("%s has the label %s %q and not %q; name one of the two by Options.Subscriptions", what, name, has, label(want))
		}
	}
}

// kindOf returns what a subscription is that is not of the type pull.
func kindOf(is *pb.Subscription) string {
	switch {
	case is.GetPushConfig().GetPushEndpoint() != "":
		return "of the type push"
	case is.GetBigqueryConfig().GetTable() != "":
		return "one that writes to BigQuery"
	case is.GetCloudStorageConfig().GetBucket() != "":
		return "one that writes to Cloud Storage"
	}
	return ""
}

// subscription compares a subscription with what Leat would create.
func (d *differences) subscription(p *plan, is *pb.Subscription, o *Options) {
	d.held(p, is)
	if !d.verify || !p.ownSub {
		return
	}
	want, what := o.newSubscription(p), fmt.Sprintf("of the subscription %q", short(p.path))
	d.compare("the message ordering "+what, is.GetEnableMessageOrdering(), want.GetEnableMessageOrdering())
	if ttl := is.GetExpirationPolicy().GetTtl(); ttl != nil || is.GetExpirationPolicy() == nil {
		d.addf("the expiration %s deletes it when nobody uses it; it should never expire", what)
	}
	d.compare("the retention "+what, is.GetMessageRetentionDuration().AsDuration(), o.Retention)
	d.compare("the retention of acknowledged messages "+what, is.GetRetainAckedMessages(), o.RetainAcked)
	d.compare("the exactly-once delivery "+what, is.GetEnableExactlyOnceDelivery(), o.ExactlyOnce)
	d.compare("the filter "+what, fmt.Sprintf("%q", is.GetFilter()), fmt.Sprintf("%q", want.GetFilter()))
	d.compare("the dead-letter topic "+what, is.GetDeadLetterPolicy().GetDeadLetterTopic(), want.GetDeadLetterPolicy().GetDeadLetterTopic())
	d.compare("the number of deliveries before the dead-letter topic "+what,
		is.GetDeadLetterPolicy().GetMaxDeliveryAttempts(), want.GetDeadLetterPolicy().GetMaxDeliveryAttempts())
}
