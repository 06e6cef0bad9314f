package protobuf

import "google.golang.org/protobuf/reflect/protoreflect"

// extensions are the fields that extend messages, by the name of the message.
type extensions map[protoreflect.FullName][]protoreflect.FieldDescriptor

// extensionsOf returns those of a file and of all that it imports.
func extensionsOf(f protoreflect.FileDescriptor) extensions {
	x := extensions{}
	x.addFile(f, map[string]bool{})
	return x
}

func (x extensions) addFile(f protoreflect.FileDescriptor, seen map[string]bool) {
	if seen[f.Path()] {
		return
	}
	seen[f.Path()] = true
	for i := range f.Imports().Len() {
		x.addFile(f.Imports().Get(i), seen)
	}
	x.add(f.Extensions(), f.Messages())
}

// add adds extensions, and those that are declared in messages.
func (x extensions) add(own protoreflect.ExtensionDescriptors, in protoreflect.MessageDescriptors) {
	for i := range own.Len() {
		to := own.Get(i).ContainingMessage().FullName()
		x[to] = append(x[to], own.Get(i))
	}
	for i := range in.Len() {
		x.add(in.Get(i).Extensions(), in.Get(i).Messages())
	}
}

// find returns the one with a number, or nil.
func (x extensions) find(message protoreflect.FullName, number protoreflect.FieldNumber) protoreflect.FieldDescriptor {
	for _, f := range x[message] {
		if f.Number() == number {
			return f
		}
	}
	return nil
}
