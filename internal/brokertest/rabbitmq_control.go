package brokertest

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// MemoryAlarm raises the alarm of memory, or ends it: while it lasts, the node reads nothing from
// connections that publish, and tells their clients connection.blocked. A node that starts has
// none.
func (n *RabbitMQNode) MemoryAlarm(ctx context.Context, on bool) error {
	limit := `{absolute, "` + rabbitMemory + `"}`
	if on {
		limit = "0.00001"
	}
	return n.alarm(ctx, on, "memory", "vm_memory_monitor:set_vm_memory_high_watermark("+limit+")")
}

// DiskAlarm raises the alarm of disk space, or ends it; see MemoryAlarm.
func (n *RabbitMQNode) DiskAlarm(ctx context.Context, on bool) error {
	limit := rabbitDisk
	if on {
		limit = "900000GB"
	}
	return n.alarm(ctx, on, "disk", `rabbit_disk_monitor:set_disk_free_limit("`+limit+`")`)
}

// alarm evaluates what sets an alarm and waits until it is so.
func (n *RabbitMQNode) alarm(ctx context.Context, on bool, resource, set string) error {
	if _, err := n.Eval(ctx, set); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, evalTimeout)
	defer cancel()
	for {
		text, err := n.Eval(ctx, "io:write([R || {{resource_limit, R, _}, _} <- rabbit_alarm:get_alarms()])")
		if err != nil {
			return err
		}
		if strings.Contains(text, resource) == on {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the alarm of %s is not as it was set: %w", resource, ctx.Err())
		case <-time.After(probeEvery):
		}
	}
}

// Sync writes the tables of the node that are written late. A node that is killed within two
// seconds of the declaration of a quorum queue loses the queue with what was confirmed, or what was
// declared last, such as a binding, unless this was called between: that is a defect of RabbitMQ,
// and not what a test looks for.
func (n *RabbitMQNode) Sync(ctx context.Context) error {
	_, err := n.Eval(ctx, "mnesia:sync_log(), mnesia:dump_log(), mnesia:sync_log(), [ok = dets:sync(T) || T <- dets:all()]")
	return err
}

// CloseConnections closes connections as an administrator does, of those for which match is true,
// or all when it is nil, and returns how many. Their clients are told 320, CONNECTION_FORCED.
func (n *RabbitMQNode) CloseConnections(ctx context.Context, match func(RabbitMQConnection) bool) (int, error) {
	all, err := n.Connections(ctx)
	if err != nil {
		return 0, err
	}
	var closing []string
	for _, c := range all {
		if match == nil || match(c) {
			closing = append(closing, fmt.Sprintf("%q", c.PID))
		}
	}
	// One that has gone meanwhile is no error.
	_, err = n.Eval(ctx, "[catch rabbit_networking:close_connection(list_to_pid(P), \"closed by a test\") || P <- ["+
		strings.Join(closing, ", ")+"]]")
	return len(closing), err
}
