package protovalidate

import (
	"fmt"
	"slices"

	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"buf.build/go/protovalidate"
	pvcel "buf.build/go/protovalidate/cel"
	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/traits"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/dynamicpb"
)

const (
	// maxExpressions and maxExpression bound the expressions of a schema, and the bytes of each.
	maxExpressions = 2_000
	maxExpression  = 4096
	// maxFields bounds the fields of a schema that have rules.
	maxFields = 10_000
)

// expressions are those in CEL that a schema has, of its own and of predefined rules. protovalidate
// compiles and evaluates them without a bound. So they are compiled here as well, before it does,
// and those that may take long are evaluated here with a bound, before it does.
type expressions struct {
	env      *cel.Env
	resolver protoregistry.ExtensionTypeResolver
	count    int    // of the expressions
	ruled    int    // fields with rules
	dried    uint64 // steps without data
	messages map[protoreflect.FullName][]*expression
	fields   map[protoreflect.FullName]*fieldExpressions
}

// fieldExpressions are those of a field, and of its items, keys and values.
type fieldExpressions struct {
	own, items, keys, values []*expression

	ifSet bool // they do not hold for a field that is not there, or is zero
}

// expression is one of them.
type expression struct {
	id      string
	program cel.Program
	all     cel.Program // which evaluates each part, as protovalidate does to predefined rules
	nodes   int         // how long it is
	loops   bool
	// rule and rules are the variables of a predefined rule.
	rule, rules any
}

// newExpressions returns the expressions of messages, nil where there are none.
func newExpressions(messages []protoreflect.MessageDescriptor, resolver protoregistry.ExtensionTypeResolver) (*expressions, error) {
	x := &expressions{
		resolver: resolver, messages: map[protoreflect.FullName][]*expression{}, fields: map[protoreflect.FullName]*fieldExpressions{},
	}
	for _, m := range messages {
		if err := x.addMessage(messages, m); err != nil {
			return nil, err
		}
	}
	if x.count == 0 {
		return nil, nil //nolint:nilnil // nothing to watch
	}
	return x, nil
}

func (x *expressions) addMessage(all []protoreflect.MessageDescriptor, m protoreflect.MessageDescriptor) error {
	rules, err := protovalidate.ResolveMessageRules(m)
	if err != nil {
		return fmt.Errorf("the rules of %s: %w", m.FullName(), err)
	}
	own, err := x.compile(all, rules.GetCelExpression(), rules.GetCel(), nil, nil)
	if err != nil {
		return fmt.Errorf("the rules of %s: %w", m.FullName(), err)
	}
	if err := x.dry(own, dynamicpb.NewMessage(m)); err != nil {
		return fmt.Errorf("the rules of %s: %w", m.FullName(), err)
	}
	if len(own) > 0 {
		x.messages[m.FullName()] = own
	}
	for i := range m.Fields().Len() {
		f := m.Fields().Get(i)
		if err := x.addField(all, f); err != nil {
			return fmt.Errorf("the rules of %s: %w", f.FullName(), err)
		}
	}
	return nil
}

func (x *expressions) addField(all []protoreflect.MessageDescriptor, f protoreflect.FieldDescriptor) error {
	rules, err := protovalidate.ResolveFieldRules(f)
	if err != nil || rules == nil {
		return err
	}
	if x.ruled++; x.ruled > maxFields {
		return fmt.Errorf("the schema has more than %d fields with rules", maxFields)
	}
	before := x.count
	found := &fieldExpressions{ifSet: f.HasPresence() || rules.GetIgnore() == validate.Ignore_IGNORE_IF_ZERO_VALUE}
	empty := dynamicpb.NewMessage(f.ContainingMessage())
	for _, part := range []struct {
		into  *[]*expression
		rules *validate.FieldRules
		zero  func() any
	}{
		{&found.own, rules, func() any { return x.field(empty, f) }},
		{&found.items, rules.GetRepeated().GetItems(), func() any { return empty.NewField(f).List().NewElement().Interface() }},
		{&found.keys, rules.GetMap().GetKeys(), func() any { return f.MapKey().Default().Interface() }},
		{&found.values, rules.GetMap().GetValues(), func() any { return empty.NewField(f).Map().NewValue().Interface() }},
	} {
		if *part.into, err = x.ofRules(all, part.rules); err != nil {
			return err
		}
		if len(*part.into) == 0 || part.into == &found.items && !f.IsList() ||
			(part.into == &found.keys || part.into == &found.values) && !f.IsMap() { // protovalidate says so
			continue
		}
		if err = x.dry(*part.into, part.zero()); err != nil {
			return err
		}
	}
	if x.count > before {
		x.fields[f.FullName()] = found
	}
	return nil
}

// ofRules returns the expressions of the rules of a field or of its items, keys or values.
func (x *expressions) ofRules(all []protoreflect.MessageDescriptor, rules *validate.FieldRules) ([]*expression, error) {
	if rules == nil || rules.GetIgnore() == validate.Ignore_IGNORE_ALWAYS {
		return nil, nil
	}
	found, err := x.compile(all, rules.GetCelExpression(), rules.GetCel(), nil, nil)
	if err != nil {
		return nil, err
	}
	reflected := rules.ProtoReflect()
	of := reflected.WhichOneof(reflected.Descriptor().Oneofs().ByName("type"))
	if of == nil {
		return found, nil
	}
	typed := proto.Clone(reflected.Get(of).Message().Interface()).ProtoReflect()
	if unknown := typed.GetUnknown(); len(unknown) > 0 { // predefined rules that the schema declares
		typed.SetUnknown(nil)
		if err := (proto.UnmarshalOptions{Resolver: x.resolver, Merge: true}).Unmarshal(unknown, typed.Interface()); err != nil {
			return nil, err
		}
	}
	typed.Range(func(f protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		if !f.IsExtension() {
			return true
		}
		var predefined *validate.PredefinedRules
		if predefined, err = protovalidate.ResolvePredefinedRules(f); err != nil {
			return false
		}
		var more []*expression
		more, err = x.compile(all, nil, predefined.GetCel(), item(value), typed.Interface())
		found = append(found, more...)
		return err == nil
	})
	return found, err
}

func (x *expressions) compile(
	all []protoreflect.MessageDescriptor, texts []string, rules []*validate.Rule, rule, typed any,
) (found []*expression, err error) {
	rules = slices.Clip(rules)
	for _, text := range texts {
		rules = append(rules, validate.Rule_builder{Id: new(text), Expression: new(text)}.Build())
	}
	if len(rules) > 0 && x.env == nil {
		if x.env, err = newEnv(all); err != nil {
			return nil, err
		}
	}
	for _, r := range rules {
		if x.count++; x.count > maxExpressions {
			return nil, fmt.Errorf("the schema has more than %d expressions", maxExpressions)
		}
		one, err := x.one(ruleOf(r.GetId()), r.GetExpression())
		if err != nil {
			return nil, fmt.Errorf("expression %s: %w", ruleOf(r.GetId()), err)
		}
		one.rule, one.rules = rule, typed
		found = append(found, one)
	}
	return found, nil
}

// newEnv returns the environment of protovalidate with the types of a schema, in which all
// variables may have any type.
func newEnv(all []protoreflect.MessageDescriptor) (*cel.Env, error) {
	used := make([]any, 0, len(all))
	for _, m := range all {
		used = append(used, dynamicpb.NewMessage(m))
	}
	return cel.NewEnv(cel.Lib(pvcel.NewLibrary()), cel.Types(used...),
		cel.Variable("this", cel.DynType), cel.Variable("rule", cel.DynType), cel.Variable("rules", cel.DynType))
}

// one compiles an expression.
func (x *expressions) one(id, text string) (*expression, error) {
	if len(text) > maxExpression {
		return nil, fmt.Errorf("it has more than %d bytes", maxExpression)
	}
	tree, issues := x.env.Compile(text)
	if err := issues.Err(); err != nil {
		return nil, fmt.Errorf("%.1000w", err)
	}
	e := &expression{id: id}
	root := tree.NativeRep().Expr()
	visit(root, func(ast.Expr) { e.nodes++ })
	e.loops = hasLoop(root)
	if err := growthFault(root); err != nil {
		return nil, err
	}
	var err error
	if e.program, err = x.env.Program(tree, cel.CostTracking(sizes{}), cel.CostLimit(budget)); err != nil {
		return nil, err
	}
	e.all, err = x.env.Program(tree, cel.CostTracking(sizes{}), cel.CostLimit(withoutData), cel.EvalOptions(cel.OptExhaustiveEval))
	return e, err
}

// field returns the value of a field as CEL takes it.
func (x *expressions) field(m protoreflect.Message, f protoreflect.FieldDescriptor) any {
	if f.IsMap() { // CEL makes one of its own only from the message
		if of, ok := x.env.CELTypeAdapter().NativeToValue(m.Interface()).(traits.Indexer); ok {
			return of.Get(types.String(f.Name()))
		}
	}
	return item(m.Get(f))
}

// item returns a value that is not a map as CEL takes it.
func item(value protoreflect.Value) any {
	if m, ok := value.Interface().(protoreflect.Message); ok {
		return m.Interface()
	}
	return value.Interface()
}
