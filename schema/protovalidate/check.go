package protovalidate

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"buf.build/go/protovalidate"
	"github.com/leatgo/leat/schema"
	"github.com/leatgo/leat/schema/protobuf"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/dynamicpb"
)

// newCheck compiles the rules of a message and of all that it uses.
func newCheck(m protoreflect.MessageDescriptor, types protoregistry.ExtensionTypeResolver) (protobuf.Check, error) {
	messages := reachable(nil, map[protoreflect.FullName]bool{}, m)
	watched, err := newExpressions(messages, types)
	if err != nil {
		return nil, err
	}
	v, err := protovalidate.New(protovalidate.WithDisableLazy(), protovalidate.WithMessageDescriptors(messages...),
		protovalidate.WithExtensionTypeResolver(types))
	if err != nil {
		return nil, err
	}
	for _, m := range messages {
		if err := compiled(v, m); err != nil {
			return nil, err
		}
	}
	return func(m protoreflect.Message, size int) []schema.Problem { return check(v, watched, m, size) }, nil
}

// reachable adds m and the messages of its fields, once each.
func reachable(
	all []protoreflect.MessageDescriptor, seen map[protoreflect.FullName]bool, m protoreflect.MessageDescriptor,
) []protoreflect.MessageDescriptor {
	if seen[m.FullName()] {
		return all
	}
	seen[m.FullName()] = true
	if !m.IsMapEntry() {
		all = append(all, m)
	}
	for i := range m.Fields().Len() {
		if used := m.Fields().Get(i).Message(); used != nil {
			all = reachable(all, seen, used)
		}
	}
	return all
}

// compiled returns why the rules of a message cannot be compiled. The Validator says so when it
// gets there.
func compiled(v protovalidate.Validator, m protoreflect.MessageDescriptor) error {
	empty := dynamicpb.NewMessage(m)
	broken := func(options ...protovalidate.ValidationOption) bool {
		err := v.Validate(empty, options...)
		_, violated := errors.AsType[*protovalidate.ValidationError](err)
		return err != nil && !violated
	}
	if !broken() {
		return nil
	}
	only := func(d protoreflect.Descriptor) error {
		err := v.Validate(empty, protovalidate.WithFilter(protovalidate.FilterFunc(
			func(_ protoreflect.Message, asked protoreflect.Descriptor) bool { return asked == d })))
		if wrong, ok := errors.AsType[*protovalidate.CompilationError](err); ok {
			return fmt.Errorf("the rules of %s: %.1000w", d.FullName(), wrong)
		}
		return nil // it may be one that cannot be evaluated without data
	}
	if err := only(m); err != nil {
		return err
	}
	for i := range m.Fields().Len() {
		if err := only(m.Fields().Get(i)); err != nil {
			return err
		}
	}
	return nil
}

// large is the data of which only the first problem is looked for: each has a size of its own.
const large = 16 << 10

// check returns why a message breaks its rules.
func check(v protovalidate.Validator, watched *expressions, m protoreflect.Message, size int) []schema.Problem {
	options := make([]protovalidate.ValidationOption, 0, 2)
	if size > large {
		options = append(options, protovalidate.WithFailFast())
	}
	var run *evaluation
	if watched != nil {
		run = &evaluation{expressions: watched, root: m, left: budget}
		options = append(options, protovalidate.WithFilter(run))
	}
	err := v.Validate(m.Interface(), options...)
	if run != nil && run.problem != nil {
		return []schema.Problem{*run.problem}
	}
	if err == nil {
		return nil
	}
	broken, ok := errors.AsType[*protovalidate.ValidationError](err)
	if !ok { // a rule cannot be evaluated: the text has values, and no place
		if watched != nil {
			return []schema.Problem{watched.failing(v, m)}
		}
		return []schema.Problem{{Rule: "a rule cannot be evaluated"}}
	}
	problems := make([]schema.Problem, 0, len(broken.Violations))
	for _, violation := range broken.Violations {
		problems = append(problems, schema.Problem{Path: pathOf(violation.Proto.GetField()), Rule: ruleOf(violation.Proto.GetRuleId())})
	}
	return problems
}

// ruleOf returns the id of a rule as it may be shown. The id of an expression may be its text.
func ruleOf(id string) string {
	const longest = 200
	if id = strings.ToValidUTF8(id, "?"); len(id) > longest {
		id = strings.ToValidUTF8(id[:longest], "") + "..."
	}
	if id == "" {
		return "a rule without an id"
	}
	return id
}

// pathOf returns where in the data a rule is broken. The key of a map is data.
func pathOf(path *validate.FieldPath) string {
	var b strings.Builder
	for _, element := range path.GetElements() {
		b.WriteString("/" + element.GetFieldName())
		switch {
		case element.HasIndex():
			b.WriteString("/" + strconv.FormatUint(element.GetIndex(), 10))
		case element.HasSubscript():
			b.WriteString("/*")
		}
	}
	return b.String()
}
