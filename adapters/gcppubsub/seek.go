package gcppubsub

import (
	"context"
	"time"

	pb "cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"github.com/leatgo/leat"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// Replay seeks the subscription of a group to a moment: events that were published from then on
// come again, as far as the subscription has them ([Options].RetainAcked) or the topic
// ([Options].TopicRetention), and older ones do not come any more. A moment in the future drops
// what is there. What consumers hold meanwhile may come twice. It needs the permission
// pubsub.subscriptions.consume. The error is an [*leat.Error].
func (b *Broker) Replay(ctx context.Context, sub leat.Subscription, from time.Time) error {
	return b.onGroup(ctx, "replay", sub, func(ctx context.Context, path string) error {
		_, err := b.subscriptions.Seek(ctx, &pb.SeekRequest{
			Subscription: path, Target: &pb.SeekRequest_Time{Time: timestamppb.New(from)},
		})
		return at("the subscription", path, err)
	})
}

// ReplaySnapshot is [Broker.Replay] to a snapshot that [Broker.Snapshot] has made: what was not
// acknowledged then comes again, and everything that was published since. It also needs the
// permission pubsub.snapshots.seek.
func (b *Broker) ReplaySnapshot(ctx context.Context, sub leat.Subscription, name string) error {
	return b.onGroup(ctx, "replay", sub, func(ctx context.Context, path string) error {
		snapshot := b.o.path("snapshots", name)
		_, err := b.subscriptions.Seek(ctx, &pb.SeekRequest{
			Subscription: path, Target: &pb.SeekRequest_Snapshot{Snapshot: snapshot},
		})
		return about("the snapshot", snapshot, err)
	})
}

// Snapshot keeps what a group has not acknowledged, under a name. Pub/Sub deletes it when the
// oldest event in it is as old as the subscription keeps events, 7 days at most. It needs the
// permissions pubsub.snapshots.create and pubsub.subscriptions.consume. The error is an
// [*leat.Error], with [leat.CodeConflict] where there is a snapshot of that name.
func (b *Broker) Snapshot(ctx context.Context, sub leat.Subscription, name string) error {
	return b.onGroup(ctx, "snapshot", sub, func(ctx context.Context, path string) error {
		snapshot := b.o.path("snapshots", name)
		_, err := b.subscriptions.CreateSnapshot(ctx, &pb.CreateSnapshotRequest{
			Name: snapshot, Subscription: path,
			Labels: map[string]string{topicLabel: label(sub.Topic), groupLabel: label(sub.Group)},
		})
		if codeOf(err) == leat.CodeNotFound {
			return at("the subscription", path, err)
		}
		return about("the snapshot", snapshot, err)
	})
}

// DeleteSnapshot deletes a snapshot. It needs the permission pubsub.snapshots.delete. The error is
// an [*leat.Error], with [leat.CodeNotFound] where there is no such snapshot.
func (b *Broker) DeleteSnapshot(ctx context.Context, name string) error {
	if err := b.life.Refuse(ctx, "snapshot", ""); err != nil {
		return err
	}
	request, cancel := b.bounded(ctx)
	defer cancel()
	snapshot := b.o.path("snapshots", name)
	err := b.subscriptions.DeleteSnapshot(request, &pb.DeleteSnapshotRequest{Snapshot: snapshot})
	return fail(ctx, "snapshot", "", about("the snapshot", snapshot, err))
}

// onGroup makes a call about the subscription of a group. The call says what its error is about.
func (b *Broker) onGroup(ctx context.Context, op string, sub leat.Subscription, call func(ctx context.Context, path string) error) error {
	err := b.life.RefuseSubscribe(ctx, sub)
	if err == nil && sub.Broadcast {
		err = errNoGroup
	}
	if err != nil {
		return fail(ctx, op, sub.Topic, err)
	}
	request, cancel := b.bounded(ctx)
	defer cancel()
	path, _ := b.subscriptionPath(sub.Topic, sub.Group)
	return fail(ctx, op, sub.Topic, call(request, path))
}
