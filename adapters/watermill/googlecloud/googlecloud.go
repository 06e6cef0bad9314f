package googlecloud

import (
	wmgoogle "github.com/ThreeDotsLabs/watermill-googlecloud/v2/pkg/googlecloud"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapterkit/options"
	"github.com/leatgo/leat/adapters/watermill"
)

// maxEventBytes is the largest event of Leat. Pub/Sub takes messages of 10 MB, which JSON of such
// an event does not reach.
const maxEventBytes = 1 << 20

// New returns a [watermill.Broker] over watermill-googlecloud. It does not connect. The error is an
// [*leat.Error]: [leat.CodeInvalid] for wrong options, [leat.CodeUnauthenticated] when there are no
// credentials.
//
// A new group gets what is published after it was declared, or has subscribed first.
func New(o *Options) (*watermill.Broker, error) {
	full := o.withDefaults()
	if err := full.validate(); err != nil {
		return nil, options.Invalid(err)
	}
	config, _ := full.configs("")
	pub, err := wmgoogle.NewPublisher(config, full.log())
	if err != nil { // the client has found no credentials, or wrong ClientOptions
		return nil, &leat.Error{Op: "open", Code: leat.CodeUnauthenticated, Err: err}
	}
	order := leat.OrderPerGroup
	if full.Unordered {
		order = leat.OrderNone
	}
	b, err := watermill.New(pub, nil, &watermill.Options{
		Codec: full.Codec, Mapping: full.Mapping, Order: order, Durable: true, LongestHold: longestHold,
		NewSubscriber: func(group string) (message.Subscriber, error) { return newSubscriber(&full, group) },
		MaxEventBytes: maxEventBytes, Refused: refused, Position: takePosition, Key: takeKey, SkipInitialize: full.SkipInitialize,
		DeliveryTimeout: full.DeliveryTimeout, Buffer: full.Buffer, BufferBytes: full.BufferBytes, CloseTimeout: full.CloseTimeout,
		Logger: full.Logger,
	})
	if err != nil {
		_ = pub.Close() // nothing was published
		return nil, err
	}
	return b, nil
}
