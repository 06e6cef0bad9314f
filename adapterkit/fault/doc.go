// Package fault makes the errors of an adapter, those of calls that fail and those of health, and
// writes the log of what is wrong.
//
// An adapter knows what the error codes of its broker mean. The rest is the same for all adapters,
// and is here. Write a codeOf that begins with your broker's codes and ends with [Code]:
//
//	func codeOf(err error) leat.Code {
//		if native, ok := errors.AsType[*client.Error](err); ok {
//			return codes[native.Code]
//		}
//		return fault.Code(err)
//	}
//
// [Fail] makes the error of a call. A [Symptom] keeps what is wrong, and since when, until health
// is asked. [Join] joins several errors, and leaves a single one as it is. An [Incident] logs what
// is wrong in a line for its beginning and one for its end, however often the adapter tries.
package fault
