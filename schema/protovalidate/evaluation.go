package protovalidate

import (
	"errors"
	"fmt"
	"regexp/syntax"
	"slices"
	"strconv"
	"time"

	"buf.build/go/protovalidate"
	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
	"cel.dev/cel-go/interpreter"
	"github.com/leatgo/leat/schema"
	"google.golang.org/protobuf/reflect/protoreflect"
)

const (
	// budget is how many steps all expressions of a schema may take for an event, and all of them
	// together where there is no data.
	budget = 1_000_000
	// withoutData is how many one of them may take then.
	withoutData = 100_000
)

var errCost = fmt.Errorf("it takes more than %d steps without data, or all together take more than %d", withoutData, budget)

// sizes says what functions cost. What CEL itself thinks needs their types, which are not known
// here, and is a step for the functions of its extensions and of protovalidate.
type sizes struct{}

var _ interpreter.ActualCostEstimator = sizes{}

// walking are functions that walk through lists and maps.
var walking = map[string]bool{"@in": true, "_==_": true, "_!=_": true, "unique": true, "join": true, "format": true}

// CallCost returns a step, and one for each 10 bytes or items that the function looks at or makes.
func (sizes) CallCost(function, _ string, args []ref.Val, result ref.Val) *uint64 {
	var looked uint64
	for _, value := range append(slices.Clip(args), result) {
		switch v := value.(type) {
		case types.String:
			looked += uint64(len(v))
		case types.Bytes:
			looked += uint64(len(v))
		case traits.Sizer:
			if n, ok := v.Size().Value().(int64); ok && walking[function] {
				looked += uint64(n)
			}
		}
	}
	if function == "matches" && len(args) == 2 { // each byte may be tried with each instruction
		text, _ := args[0].Value().(string)
		pattern, _ := args[1].Value().(string)
		looked = uint64(len(text)+compiling) * instructions(pattern) / 4
	}
	steps := 1 + looked/10
	return &steps
}

// compiling is how many bytes more a pattern might search in the time that it takes to compile it.
const compiling = 16

// instructions returns how long a pattern is once it is compiled. (a{99}){10} is a thousand
// times a.
func instructions(pattern string) uint64 {
	parsed, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return 1
	}
	program, err := syntax.Compile(parsed.Simplify())
	if err != nil {
		return 1
	}
	return uint64(len(program.Inst))
}

// spend evaluates an expression, and returns the steps that it took.
func (e *expression) spend(program cel.Program, this any) (steps uint64, err error) {
	_, details, err := program.Eval(map[string]any{"this": this, "rule": e.rule, "rules": e.rules, "now": time.Now()})
	if details != nil && details.ActualCost() != nil {
		steps = *details.ActualCost()
	}
	return max(steps, 1), err
}

func tooCostly(err error) bool {
	cancelled, ok := errors.AsType[interpreter.EvalCancelledError](err)
	return ok && cancelled.Cause == interpreter.CostLimitExceeded
}

// dry refuses expressions that take too long whatever the data is.
func (x *expressions) dry(all []*expression, zero any) error {
	for _, e := range all {
		steps, err := e.spend(e.all, zero)
		if x.dried += steps; x.dried > budget || tooCostly(err) {
			return errCost
		}
	}
	return nil
}

// evaluation goes with a validation: protovalidate asks it before it evaluates the rules of a
// message or of a field. Then it evaluates what may take long itself, with a bound.
type evaluation struct {
	*expressions

	root    protoreflect.Message
	left    uint64
	failing bool // it looks for an expression that cannot be evaluated
	problem *schema.Problem
}

var _ protovalidate.Filter = (*evaluation)(nil)

// ShouldValidate reports whether the rules may be evaluated.
func (v *evaluation) ShouldValidate(m protoreflect.Message, d protoreflect.Descriptor) bool {
	if v.problem != nil {
		return false
	}
	f, ok := d.(protoreflect.FieldDescriptor)
	if !ok {
		if own := v.messages[d.FullName()]; len(own) > 0 {
			v.all(own, m.Interface(), m, nil)
		}
		return v.problem == nil
	}
	found := v.fields[d.FullName()]
	if found == nil || found.ifSet && !m.Has(f) {
		return true
	}
	if len(found.own) > 0 {
		v.all(found.own, v.field(m, f), m, f)
	}
	value := m.Get(f)
	switch {
	case f.IsList() && len(found.items) > 0:
		for i := 0; i < value.List().Len() && v.problem == nil; i++ {
			v.all(found.items, item(value.List().Get(i)), m, f)
		}
	case f.IsMap() && len(found.keys)+len(found.values) > 0:
		value.Map().Range(func(key protoreflect.MapKey, value protoreflect.Value) bool {
			v.all(found.keys, key.Interface(), m, f)
			v.all(found.values, item(value), m, f)
			return v.problem == nil
		})
	}
	return v.problem == nil
}

// all spends what expressions take for a value of m.
func (v *evaluation) all(list []*expression, this any, m protoreflect.Message, f protoreflect.FieldDescriptor) {
	for _, e := range list {
		if v.problem != nil {
			return
		}
		steps := uint64(e.nodes)
		var err error
		if e.loops || v.failing {
			steps, err = e.spend(e.program, this)
		}
		if tooCostly(err) || steps > v.left {
			v.found(e.id+", which takes too many steps", m, f)
			return
		}
		v.left -= steps
		if err != nil && v.failing {
			v.found(e.id+", which cannot be evaluated", m, f)
		}
	}
}

func (v *evaluation) found(rule string, m protoreflect.Message, f protoreflect.FieldDescriptor) {
	path, _ := pathTo("", v.root, m)
	if f != nil {
		path += "/" + string(f.Name())
	}
	v.problem = &schema.Problem{Path: path, Rule: rule}
}

// pathTo returns where a message is.
func pathTo(path string, from, to protoreflect.Message) (found string, ok bool) {
	if from == to {
		return path, true
	}
	from.Range(func(f protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		at := path + "/" + string(f.Name())
		switch {
		case f.IsMap() && f.MapValue().Message() != nil:
			value.Map().Range(func(_ protoreflect.MapKey, value protoreflect.Value) bool {
				found, ok = pathTo(at+"/*", value.Message(), to)
				return !ok
			})
		case f.IsList() && f.Message() != nil:
			for i := 0; i < value.List().Len() && !ok; i++ {
				found, ok = pathTo(at+"/"+strconv.Itoa(i), value.List().Get(i).Message(), to)
			}
		case !f.IsMap() && f.Message() != nil:
			found, ok = pathTo(at, value.Message(), to)
		}
		return !ok
	})
	return found, ok
}

// failing says which expression cannot be evaluated.
func (x *expressions) failing(v protovalidate.Validator, m protoreflect.Message) schema.Problem {
	run := &evaluation{expressions: x, root: m, left: budget, failing: true}
	_ = v.Validate(m.Interface(), protovalidate.WithFilter(run))
	if run.problem != nil {
		return *run.problem
	}
	return schema.Problem{Rule: "a rule cannot be evaluated"}
}
