package brokertest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// rabbitKit is what a node is made of: it is fetched and prepared once per machine and stays in the
// cache.
type rabbitKit struct {
	erlang   string // Erlang's root, with lib and bin
	erts     string // the folder of its programs
	server   string // RabbitMQ's
	plugins  string // links to the plugins and libraries that a node needs: looking through all of them makes it boot a second longer
	template string // the data of a node that has booted once, which saves another second
	version  string
}

// GetRabbitMQ fetches RabbitMQ and prepares it, unless that was done before. It writes what it does
// to progress, and nothing when there is nothing to do.
func GetRabbitMQ(ctx context.Context, progress func(string)) error {
	_, err := getRabbit(ctx, progress)
	return err
}

func getRabbit(ctx context.Context, progress func(string)) (*rabbitKit, error) {
	if err := startable("RabbitMQ", RabbitMQVariable, "address"); err != nil {
		return nil, err
	}
	cache, err := cacheDir()
	if err != nil {
		return nil, err
	}
	root, err := findRabbit(ctx, cache, progress)
	if err != nil {
		return nil, err
	}
	kit, err := openRabbit(root)
	if err != nil {
		return nil, err
	}
	home := filepath.Join(cache, "rabbitmq-"+kit.version+"-"+digest(root, kit.erts, kit.server, rabbitPlugins, rabbitAdvanced,
		strings.Join(rabbitLeftOut, " ")))
	err = fill(home, func(dir string) error {
		progress("preparing RabbitMQ " + kit.version + " for a fast start")
		return kit.prepare(ctx, dir)
	})
	kit.plugins, kit.template = filepath.Join(home, "plugins"), filepath.Join(home, "data")
	return kit, err
}

// openRabbit looks for Erlang and RabbitMQ beneath a root folder, where Debian's packages put them.
func openRabbit(root string) (*rabbitKit, error) {
	k := &rabbitKit{erlang: filepath.Join(root, "usr/lib/erlang")}
	for _, part := range []struct {
		to      *string
		pattern string
	}{
		{&k.erts, filepath.Join(k.erlang, "erts-*/bin")},
		{&k.server, filepath.Join(root, "usr/lib/rabbitmq/lib/rabbitmq_server-*")},
	} {
		found, err := filepath.Glob(part.pattern)
		if err != nil || len(found) == 0 {
			return nil, errors.Join(fmt.Errorf("there is no %s", part.pattern), err)
		}
		*part.to = found[len(found)-1]
	}
	_, k.version, _ = strings.Cut(filepath.Base(k.server), "-")
	return k, nil
}

// rabbitLeftOut begin the names of plugins that no test needs. Libraries are not told apart from
// plugins by name, so the rest stays.
var rabbitLeftOut = []string{
	"rabbitmq_auth_backend_", "rabbitmq_aws-", "rabbitmq_event_exchange-", "rabbitmq_federation", "rabbitmq_jms_", "rabbitmq_mqtt-",
	"rabbitmq_peer_discovery_", "rabbitmq_prometheus-", "rabbitmq_random_exchange-", "rabbitmq_recent_history_", "rabbitmq_sharding-",
	"rabbitmq_shovel", "rabbitmq_stomp-", "rabbitmq_stream", "rabbitmq_top-", "rabbitmq_tracing-", "rabbitmq_trust_store-",
	"rabbitmq_web_mqtt", "rabbitmq_web_stomp",
}

// prepare fills dir with links to plugins, and with the data of a node that has booted and was
// stopped.
func (k *rabbitKit) prepare(ctx context.Context, dir string) error {
	all, err := os.ReadDir(filepath.Join(k.server, "plugins"))
	if err != nil {
		return err
	}
	// The links are made where they are used now; what they point to stays when the folder gets its
	// name.
	k.plugins = filepath.Join(dir, "plugins")
	if err := os.MkdirAll(k.plugins, 0o755); err != nil {
		return err
	}
	for _, entry := range all {
		if leftOut(entry.Name()) {
			continue
		}
		if err := os.Symlink(filepath.Join(k.server, "plugins", entry.Name()), filepath.Join(k.plugins, entry.Name())); err != nil {
			return err
		}
	}
	n, err := k.node(ctx, nil)
	if err != nil {
		return err
	}
	if err := errors.Join(n.Start(ctx), n.Stop()); err != nil {
		return errors.Join(err, n.Close())
	}
	return errors.Join(os.CopyFS(filepath.Join(dir, "data"), os.DirFS(n.file("data"))), n.Close())
}

func leftOut(plugin string) bool {
	for _, prefix := range rabbitLeftOut {
		if strings.HasPrefix(plugin, prefix) {
			return true
		}
	}
	return false
}
