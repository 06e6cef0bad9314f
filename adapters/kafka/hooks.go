package kafka

import (
	"reflect"

	"github.com/twmb/franz-go/pkg/kgo"
)

// mayEdit reports whether a client has hooks that are shown the records that are published. Such a
// hook may write to the bytes of a record, to encrypt its value for instance; they must not be
// those of an event then, which never changes.
func mayEdit(client *kgo.Client) bool {
	hooks := reflect.ValueOf(client.OptValue(kgo.WithHooks)) // of a type that the client does not export
	if hooks.Kind() != reflect.Slice {
		return true
	}
	for i := range hooks.Len() {
		switch hooks.Index(i).Interface().(type) {
		case kgo.HookProduceRecordBuffered, kgo.HookProduceRecordPartitioned, kgo.HookProduceRecordUnbuffered:
			return true
		}
	}
	return false
}
