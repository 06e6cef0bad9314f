package jsonschema

import (
	"math"
	"math/big"
	"strconv"

	"github.com/leatgo/leat/schema"
)

// bound is a limit of numbers.
type bound struct {
	value     float64
	exclusive bool
}

// lower returns the limit of a schema from below; -Inf where it has none. With sign -1 it returns
// the limit from above of the mirrored numbers.
func lower(n node, sign float64) bound {
	inclusive, exclusive := "minimum", "exclusiveMinimum"
	if sign < 0 {
		inclusive, exclusive = "maximum", "exclusiveMaximum"
	}
	b := bound{value: math.Inf(-1)}
	if value, ok := n.object()[inclusive].(float64); ok {
		b.value = sign * value
		b.exclusive = n.object()[exclusive] == true // draft 4
	}
	if value, ok := n.object()[exclusive].(float64); ok && sign*value >= b.value {
		b = bound{sign * value, true}
	}
	return b
}

// numbers compares the rules for numbers.
func numbers(w []node, r node, t types) (breaks []schema.Break) {
	for keyword, sign := range map[string]float64{"minimum": 1, "maximum": -1} {
		wanted, kept := lower(r, sign), bound{value: math.Inf(-1)}
		for _, n := range w {
			if b := lower(n, sign); b.value > kept.value || b.value == kept.value && b.exclusive {
				kept = b
			}
		}
		if t&number == integer {
			wanted, kept = wanted.whole(), kept.whole()
		}
		if kept.value < wanted.value || kept.value == wanted.value && wanted.exclusive && !kept.exclusive {
			breaks = append(breaks, r.broken("limit-tightened", keyword))
		}
	}
	step, ok := r.object()["multipleOf"].(float64)
	if !ok || t&number == integer && divides(step, 1) {
		return breaks
	}
	for _, n := range w {
		if own, ok := n.object()["multipleOf"].(float64); ok && divides(step, own) {
			return breaks
		}
	}
	return append(breaks, r.broken("multiple-changed", "multipleOf"))
}

// whole returns the limit for integers.
func (b bound) whole() bound {
	value := math.Ceil(b.value)
	if b.exclusive && value == b.value {
		if value+1 == value { // too large to tell
			return b
		}
		value++
	}
	return bound{value: value}
}

// divides reports whether every multiple of b is one of a, by their decimals.
func divides(a, b float64) bool {
	x, okX := new(big.Rat).SetString(strconv.FormatFloat(a, 'g', -1, 64))
	y, okY := new(big.Rat).SetString(strconv.FormatFloat(b, 'g', -1, 64))
	return okX && okY && x.Sign() != 0 && y.Quo(y, x).IsInt()
}

// texts compares the rules for strings.
func texts(w []node, r node) (breaks []schema.Break) {
	breaks = append(lengths(w, r, "minLength", "maxLength", 0), breaks...)
	for _, keyword := range []string{"pattern", "format"} {
		if wanted, ok := r.object()[keyword]; ok && !has(w, keyword, wanted) {
			breaks = append(breaks, r.broken(keyword+"-changed", keyword))
		}
	}
	return breaks
}

// lengths compares the least and the most of a count. known is what w guarantees otherwise.
func lengths(w []node, r node, least, most string, known float64) (breaks []schema.Break) {
	kept, limit := known, math.Inf(1)
	for _, n := range w {
		if value, ok := n.object()[least].(float64); ok {
			kept = max(kept, value)
		}
		if value, ok := n.object()[most].(float64); ok {
			limit = min(limit, value)
		}
	}
	if wanted, ok := r.object()[least].(float64); ok && wanted > kept {
		breaks = append(breaks, r.broken("limit-tightened", least))
	}
	if wanted, ok := r.object()[most].(float64); ok && wanted < limit {
		breaks = append(breaks, r.broken("limit-tightened", most))
	}
	return breaks
}

// has reports whether one of w has a keyword with a value.
func has(w []node, keyword string, value any) bool {
	for _, n := range w {
		if n.object()[keyword] == value {
			return true
		}
	}
	return false
}
