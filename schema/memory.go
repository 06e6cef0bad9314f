package schema

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/leatgo/leat"
)

// MemoryOptions are the options of [NewMemory].
type MemoryOptions struct {
	// Formats are those that it can compile and compare. A definition of another one is refused.
	Formats []Format
	// Level is that of a subject for which nobody called [Memory.SetLevel]. "" means
	// [DefaultLevel].
	Level Level
}

// Memory is a [Registry] in memory. Its IDs and GUIDs are made of the definitions, so that they are
// the same in every process.
type Memory struct {
	formats  formats
	level    Level
	embedded bool // all versions are those of files

	mu       sync.RWMutex
	subjects map[string]*subject
	byID     map[int]*Schema
	byGUID   map[string]*Schema
}

type subject struct {
	level    Level
	versions []*Schema // in ascending order
}

// NewMemory returns an empty registry. A nil o means the defaults, with which it takes no
// definition.
func NewMemory(o *MemoryOptions) (*Memory, error) {
	if o == nil {
		o = &MemoryOptions{}
	}
	m := &Memory{
		formats: slices.Clone(o.Formats), level: cmp.Or(o.Level, DefaultLevel),
		subjects: map[string]*subject{}, byID: map[int]*Schema{}, byGUID: map[string]*Schema{},
	}
	if err := errors.Join(m.formats.fault(), m.level.fault()); err != nil {
		return nil, fail("open", leat.CodeInvalid, err)
	}
	return m, nil
}

// SetLevel changes the level of a subject, which need not have a version yet. What is registered
// stays.
func (m *Memory) SetLevel(name string, level Level) error {
	if err := errors.Join(subjectFault(name), level.fault()); err != nil {
		return fail("set level", leat.CodeInvalid, err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.subjectOf(name).level = level
	return nil
}

// Level returns the level of a subject: that of the registry where nobody has set one.
func (m *Memory) Level(name string) Level {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if s := m.subjects[name]; s != nil {
		return s.level
	}
	return m.level
}

// subjectOf returns a subject, a new one where there is none. The lock is held.
func (m *Memory) subjectOf(name string) *subject {
	s := m.subjects[name]
	if s == nil {
		s = &subject{level: m.level}
		m.subjects[name] = s
	}
	return s
}

// ByRef implements [Reader].
func (m *Memory) ByRef(_ context.Context, r Ref) (*Schema, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if s := m.subjects[r.Subject]; s != nil {
		for _, v := range slices.Backward(s.versions) {
			if r.Version == 0 || r.Version == v.Version {
				return v, nil
			}
		}
	}
	if r.Version == 0 {
		return nil, fail("find schema", leat.CodeNotFound, fmt.Errorf("subject %.300q has no version", r.Subject))
	}
	err := fmt.Errorf("subject %.300q has no version %d", r.Subject, r.Version)
	if s := m.subjects[r.Subject]; m.embedded && s != nil && len(s.versions) > 0 && r.Version > s.versions[len(s.versions)-1].Version {
		err = fmt.Errorf("%w: %w", err, errNewer)
	}
	return nil, fail("find schema", leat.CodeNotFound, err)
}

// errNewer says that a version may exist, and was not there when the files were read.
var errNewer = errors.New("if it is newer than the files, update them")

// ByID implements [Reader].
func (m *Memory) ByID(_ context.Context, subject string, id int) (*Schema, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.versionLike(subject, m.byID[id], fmt.Sprintf("the ID %d", id))
}

// ByGUID implements [Reader].
func (m *Memory) ByGUID(_ context.Context, subject, guid string) (*Schema, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.versionLike(subject, m.byGUID[guid], fmt.Sprintf("the GUID %.50q", guid))
}

// versionLike returns the version of a subject that has the definition of a schema, which is nil
// where no subject has it. The lock is held.
func (m *Memory) versionLike(subject string, same *Schema, name string) (*Schema, error) {
	if same != nil && subject == "" {
		return same, nil
	}
	err := errors.New("no schema has " + name)
	if s := m.subjects[subject]; s != nil && same != nil {
		for _, v := range s.versions {
			if v.GUID == same.GUID {
				return v, nil
			}
		}
		err = fmt.Errorf("no version of subject %.300q has %s", subject, name)
	}
	if m.embedded {
		err = fmt.Errorf("%w: %w", err, errNewer)
	}
	return nil, fail("find schema", leat.CodeNotFound, err)
}

// Versions implements [Registry].
func (m *Memory) Versions(_ context.Context, name string) ([]int, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	s := m.subjects[name]
	if s == nil || len(s.versions) == 0 {
		return nil, fail("list versions", leat.CodeNotFound, fmt.Errorf("subject %.300q has no version", name))
	}
	versions := make([]int, len(s.versions))
	for i, v := range s.versions {
		versions[i] = v.Version
	}
	return versions, nil
}

// Subjects returns the names of the subjects that have a version, in order.
func (m *Memory) Subjects() []string {
	m.mu.RLock()
	defer m.mu.RUnlock()
	var names []string
	for name, s := range m.subjects {
		if len(s.versions) > 0 {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// Register implements [Registry].
func (m *Memory) Register(ctx context.Context, name string, d Definition) (*Schema, error) {
	for {
		candidate, level, err := m.candidate(name, d)
		if err != nil || candidate.ID != 0 {
			return candidate, err
		}
		breaks, err := m.examine(ctx, candidate, level)
		if err != nil {
			return nil, err
		}
		if len(breaks) > 0 {
			return nil, fail("register schema", leat.CodeConflict, &IncompatibleError{Level: level, Breaks: breaks})
		}
		if m.add(candidate) {
			return candidate, nil
		}
	}
}

// Check implements [Registry].
func (m *Memory) Check(ctx context.Context, name string, d Definition) ([]Break, error) {
	candidate, level, err := m.candidate(name, d)
	if err != nil || candidate.ID != 0 {
		return nil, err
	}
	return m.examine(ctx, candidate, level)
}

// candidate returns the next version of a subject with a definition, which has no ID; or the
// version that has the definition already.
func (m *Memory) candidate(name string, d Definition) (*Schema, Level, error) {
	if err := subjectFault(name); err != nil {
		return nil, "", fail("register schema", leat.CodeInvalid, err)
	}
	for _, r := range d.References {
		if err := r.Ref.fault(); err != nil {
			return nil, "", fail("register schema", leat.CodeInvalid, fmt.Errorf("reference %.300q: %w", r.Name, err))
		}
	}
	d.References = slices.Clone(d.References)
	_, guid := d.fingerprint()
	m.mu.RLock()
	defer m.mu.RUnlock()
	next, level := 1, m.level
	if s := m.subjects[name]; s != nil {
		level = s.level
		for _, v := range s.versions {
			if v.GUID == guid {
				return v, level, nil
			}
			next = v.Version + 1
		}
	}
	return &Schema{Ref: Ref{name, next}, Definition: d, GUID: guid}, level, nil
}

// examine compiles a new version, and compares it with those before.
func (m *Memory) examine(ctx context.Context, s *Schema, level Level) ([]Break, error) {
	added, err := m.versioned(ctx, s)
	if err != nil {
		return nil, err
	}
	if _, err := added.format.Compile(added.bundle); err != nil {
		return nil, fail("compile schema", leat.CodeInvalid, fmt.Errorf("schema %v: %w", s.Ref, err))
	}
	m.mu.RLock()
	var before []*Schema
	if known := m.subjects[s.Subject]; known != nil {
		before = slices.Clip(known.versions)
	}
	m.mu.RUnlock()
	var history []versioned
	for _, old := range before {
		if old.Version >= s.Version {
			break
		}
		v, err := m.versioned(ctx, old)
		if err != nil {
			return nil, err
		}
		history = append(history, v)
	}
	breaks, err := level.check(history, added)
	if err != nil {
		return nil, fail("compare schemas", leat.CodeInvalid, err)
	}
	return breaks, nil
}

func (m *Memory) versioned(ctx context.Context, s *Schema) (versioned, error) {
	format, err := m.formats.named(s.Format)
	if err != nil {
		return versioned{}, fail("compile schema", leat.CodeUnsupported, fmt.Errorf("schema %v: %w", s.Ref, err))
	}
	b, err := bundle(ctx, m, s)
	return versioned{format, b}, err
}

// add makes a candidate the next version. It returns false where another one has become that.
func (m *Memory) add(s *Schema) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	known := m.subjectOf(s.Subject)
	if n := len(known.versions); n > 0 && known.versions[n-1].Version >= s.Version {
		return false
	}
	m.put(known, s)
	return true
}

// put adds a version. The lock is held.
func (m *Memory) put(known *subject, s *Schema) {
	s.ID, s.GUID = s.fingerprint()
	for same := m.byID[s.ID]; same != nil && same.GUID != s.GUID; same = m.byID[s.ID] {
		s.ID = s.ID%(1<<31-1) + 1 // two definitions share a number
	}
	known.versions = append(known.versions, s)
	m.byID[s.ID], m.byGUID[s.GUID] = s, s
}
