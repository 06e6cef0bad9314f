package schema

import "context"

// Reader finds schemas. It is what a service needs of a registry. Its methods are safe for
// concurrent use, and return when ctx ends.
//
// Their errors are a [*leat.Error]: [leat.CodeNotFound] where the registry says that it does not
// have the schema, and another code where that is not known, such as [leat.CodeUnavailable].
type Reader interface {
	// ByRef returns a version of a subject; with version 0 the latest one.
	ByRef(ctx context.Context, r Ref) (*Schema, error)
	// ByID returns the version of a subject that has a number of the registry. With subject "" it
	// is that of any subject, and its Ref may be empty.
	ByID(ctx context.Context, subject string, id int) (*Schema, error)
	// ByGUID does the same with a GUID, in lower case.
	ByGUID(ctx context.Context, subject, guid string) (*Schema, error)
}

// Registry keeps schemas. Only tools and a build need more of it than a [Reader]: a service in
// production registers nothing.
type Registry interface {
	Reader

	// Versions returns the versions of a subject in ascending order.
	Versions(ctx context.Context, subject string) ([]int, error)
	// Register makes a definition the next version of a subject, and returns it. Where the subject
	// has the same definition already, it returns that version. Where the level of the subject
	// forbids the definition, the error has [leat.CodeConflict] and wraps an [*IncompatibleError].
	Register(ctx context.Context, subject string, d Definition) (*Schema, error)
	// Check returns what Register would refuse about a definition: nothing where it would take it.
	Check(ctx context.Context, subject string, d Definition) ([]Break, error)
}
