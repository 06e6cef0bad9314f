package schema

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/internal/uuid"
)

// Ref names a version of a subject.
type Ref struct {
	// Subject is what versions belong to: most often the type of an event. It has 1 to 255 bytes of
	// UTF-8, no slash and no control character, and does not begin with a dot.
	Subject string
	// Version counts from 1. 0 means the latest one, which only a [Reader] understands.
	Version int
}

// String returns the Ref as "orders/3".
func (r Ref) String() string { return r.Subject + "/" + strconv.Itoa(r.Version) }

// fault returns what is wrong with a Ref of a certain version.
func (r Ref) fault() error {
	if err := subjectFault(r.Subject); err != nil {
		return err
	}
	if r.Version < 1 {
		return fmt.Errorf("the version of subject %q is %d; use a version from 1", r.Subject, r.Version)
	}
	return nil
}

const maxSubjectBytes = 255

func subjectFault(subject string) error {
	switch {
	case subject == "":
		return errors.New("the subject is empty; name one")
	case len(subject) > maxSubjectBytes || !utf8.ValidString(subject) || subject[0] == '.' || strings.Contains(subject, "/") ||
		strings.ContainsFunc(subject, unicode.IsControl):
		return fmt.Errorf("the subject %.300q is not a name: use at most %d bytes of UTF-8, no slash, no control character, and no dot in front",
			subject, maxSubjectBytes)
	}
	return nil
}

// Reference is what a schema uses of another one.
type Reference struct {
	// Name is how the text refers to it: the target of a $ref, the path of an import, the full name
	// of a type.
	Name string
	// Ref is the schema with that name.
	Ref Ref
}

// Definition is the text of a schema, and what it needs to be understood.
type Definition struct {
	// Format is the name of a [Format]: "JSON", "AVRO" or "PROTOBUF".
	Format string
	// Text is the schema in its language.
	Text string
	// References are the other schemas that Text uses directly.
	References []Reference
}

// Schema is a version of a subject. Nobody may change it.
type Schema struct {
	Ref
	Definition

	// ID is the number that its registry gave it. Schemas with the same definition have the same.
	// Another registry gives another number.
	ID int
	// GUID identifies it everywhere, as a UUID of 36 bytes. It is empty where the registry has
	// none.
	GUID string
}

// fingerprint returns the ID and the GUID of a definition: the same in every process.
func (d *Definition) fingerprint() (id int, guid string) {
	h := sha256.New()
	write := func(parts ...string) {
		for _, part := range parts {
			_ = binary.Write(h, binary.BigEndian, uint64(len(part))) // a hash takes everything
			_, _ = h.Write([]byte(part))
		}
	}
	write(d.Format, d.Text)
	for _, r := range d.References {
		write(r.Name, r.Ref.String())
	}
	sum := h.Sum(nil)
	id = int(binary.BigEndian.Uint32(sum[16:])%(1<<31-1)) + 1 // a positive int32, as other registries have it
	return id, string(uuid.AppendText(nil, [16]byte(sum[:16])))
}

// fail makes the error of an operation.
func fail(op string, code leat.Code, err error) error {
	return &leat.Error{Op: op, Code: code, Err: err}
}
