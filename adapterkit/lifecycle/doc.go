// Package lifecycle carries an adapter's Broker from New to Close: it refuses calls after Close,
// remembers the streams that Close must close, bounds Close in time, and awaits every goroutine.
//
// A [Life] is a field of the Broker:
//
//	type Broker struct {
//		life lifecycle.Life[*Stream]
//	}
//
//	func (b *Broker) Close() error {
//		b.life.Close(b.o.CloseTimeout, b.publisher.close, func([]*Stream) { b.conn.Close() })
//		return nil
//	}
package lifecycle
