package schema

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/leatgo/leat"
)

// FromFS returns a registry with the schemas in files, such as an embed.FS or that of os.DirFS. A
// directory is a subject, and has a file for each version:
//
//	orders/1.json
//	orders/2.json
//	orders/subject.json
//
// The extension is that of the [Format]. The file subject.json may be missing. It has the [Level]
// of the subject, and what its versions refer to:
//
//	{"level": "BACKWARD", "references": {"2": [{"name": "customer.json", "subject": "customer", "version": 1}]}}
//
// FromFS compiles every schema and compares every version with those before it, as its level says.
// So a test that calls FromFS fails when somebody commits a change that breaks consumers. The error
// then wraps an [*IncompatibleError]. It names everything that is wrong, and not only the first
// thing.
//
// Files whose names begin with a dot or end with .md are ignored. Registering a schema does not
// write a file.
func FromFS(files fs.FS, list ...Format) (*Memory, error) {
	m, err := NewMemory(&MemoryOptions{Formats: list})
	if err != nil {
		return nil, err
	}
	m.embedded = true
	directories, err := fs.ReadDir(files, ".")
	if err != nil {
		return nil, fail("read schemas", leat.CodeUnavailable, err)
	}
	var wrong []error
	for _, d := range directories {
		if skipped(d.Name()) {
			continue
		}
		if err := m.read(files, d); err != nil {
			wrong = append(wrong, fail("read schemas", leat.CodeInvalid, err))
		}
	}
	if len(wrong) == 0 {
		wrong = m.history()
	}
	if len(wrong) > 0 {
		return nil, errors.Join(wrong...)
	}
	return m, nil
}

func skipped(name string) bool { return strings.HasPrefix(name, ".") || path.Ext(name) == ".md" }

// maxFile bounds a file of a schema.
const maxFile = 4 << 20

// about is the file subject.json.
type about struct {
	Level      Level               `json:"level"`
	References map[int][]reference `json:"references"`
}

type reference struct {
	Name    string `json:"name"`
	Subject string `json:"subject"`
	Version int    `json:"version"`
}

// read adds a subject.
func (m *Memory) read(files fs.FS, d fs.DirEntry) error {
	name := d.Name()
	if !d.IsDir() {
		return fmt.Errorf("%s is not a directory; put the versions of a subject into a directory with its name,"+
			" and use fs.Sub for a directory with subjects", name)
	}
	if err := subjectFault(name); err != nil {
		return err
	}
	entries, err := fs.ReadDir(files, name)
	if err != nil {
		return err
	}
	var own about
	var versions []*Schema
	for _, entry := range entries {
		file := path.Join(name, entry.Name())
		switch {
		case skipped(entry.Name()):
			continue
		case entry.Name() == "subject.yaml":
			return fmt.Errorf("%s is not read; write the same as subject.json", file)
		}
		text, err := readFile(files, file)
		if err != nil {
			return err
		}
		if entry.Name() == "subject.json" {
			decoder := json.NewDecoder(strings.NewReader(text))
			decoder.DisallowUnknownFields()
			if err := decoder.Decode(&own); err != nil {
				return fmt.Errorf("%s: %w", file, err)
			}
			continue
		}
		s, err := m.schemaOf(name, entry.Name(), text)
		if err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		versions = append(versions, s)
	}
	return m.fill(name, versions, &own)
}

func readFile(files fs.FS, name string) (string, error) {
	info, err := fs.Stat(files, name)
	if err != nil {
		return "", err
	}
	if info.Size() > maxFile {
		return "", fmt.Errorf("%s has more than %d bytes", name, maxFile)
	}
	text, err := fs.ReadFile(files, name)
	return string(text), err
}

// schemaOf returns the schema of a file such as 2.json.
func (m *Memory) schemaOf(name, file, text string) (*Schema, error) {
	number, extension, _ := strings.Cut(file, ".")
	version, ok := versionOf(number)
	if !ok {
		return nil, errors.New("the name is not the number of a version; use 1, 2, 3 and so on")
	}
	i := slices.IndexFunc(m.formats, func(f Format) bool { return f.Extension() == extension })
	if i < 0 {
		return nil, fmt.Errorf("no format has the extension %q; give FromFS the Format", extension)
	}
	return &Schema{Ref: Ref{name, version}, Definition: Definition{Format: m.formats[i].Name(), Text: text}}, nil
}

// versionOf reads a version as String writes it.
func versionOf(text string) (version int, ok bool) {
	version, err := strconv.Atoi(text)
	return version, err == nil && version > 0 && strconv.Itoa(version) == text
}

// fill puts the versions of a subject into the registry.
func (m *Memory) fill(name string, versions []*Schema, own *about) error {
	slices.SortFunc(versions, func(a, b *Schema) int { return a.Version - b.Version })
	known := m.subjectOf(name)
	if own.Level != "" {
		if err := own.Level.fault(); err != nil {
			return fmt.Errorf("%s/subject.json: %w", name, err)
		}
		known.level = own.Level
	}
	for i, s := range versions {
		if i > 0 && versions[i-1].Version == s.Version {
			return fmt.Errorf("%s has two files for version %d", name, s.Version)
		}
		for _, r := range own.References[s.Version] {
			ref := Ref{r.Subject, r.Version}
			if err := ref.fault(); err != nil {
				return fmt.Errorf("%s/subject.json: reference %.300q of version %d: %w", name, r.Name, s.Version, err)
			}
			s.References = append(s.References, Reference{Name: r.Name, Ref: ref})
		}
		delete(own.References, s.Version)
		m.put(known, s)
	}
	for version := range own.References {
		return fmt.Errorf("%s/subject.json has references of version %d, which has no file", name, version)
	}
	return nil
}

// history looks at every version as if it were new.
func (m *Memory) history() (wrong []error) {
	for _, name := range m.Subjects() {
		known := m.subjects[name]
		for _, s := range known.versions {
			breaks, err := m.examine(context.Background(), s, known.level)
			if err != nil {
				wrong = append(wrong, err)
			}
			if len(breaks) > 0 {
				wrong = append(wrong, fail("read schemas", leat.CodeConflict, &IncompatibleError{Level: known.level, Breaks: breaks}))
			}
		}
	}
	return wrong
}
