// Package nils finds nils that a comparison with nil does not.
package nils

import "reflect"

// Is reports whether v is nil, or an interface around a nil pointer, func, map, slice or channel.
func Is(v any) bool {
	if v == nil {
		return true
	}
	switch r := reflect.ValueOf(v); r.Kind() {
	case reflect.Pointer, reflect.Func, reflect.Map, reflect.Slice, reflect.Chan, reflect.UnsafePointer:
		return r.IsNil()
	default:
		return false
	}
}
