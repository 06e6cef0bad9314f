package main

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// mutant is a defect of an adapter. Its file has lines "key: value" and then, for each place that
// it changes, a block:
//
//	what: It reports nil before a broker has confirmed the event.
//	kind: success before the confirm
//	caught by: nil-means-stored
//	seen: was confirmed and is not delivered
//
//	--- publish.go
//	whole lines of that file, which are there exactly once
//	--- becomes
//	other lines in their place
//	--- end
//
// The keys: "what" says what the mutant does wrong, and "kind" what it is an example of. Each
// "caught by" names a case that must fail, and the "seen" after it is a regular expression for what
// the case must have seen, so that it fails for its rule and not for another reason. "cannot be
// caught" stands in the place of these and gives the reason. "test" names the test of the suite
// where it is not the adapter's usual one. Lines that begin with # are comments.
type mutant struct {
	name    string
	what    string
	kind    string
	test    string
	catches []catch
	reason  string // why no case catches it
	edits   []edit
}

// catch is a case that must notice a mutant.
type catch struct {
	name string
	seen *regexp.Regexp
}

// edit replaces whole lines of a file.
type edit struct {
	file     string // in the folder of the adapter
	old, new string
}

// parse reads the file of a mutant.
func parse(file, text string) (*mutant, error) {
	m := &mutant{name: strings.TrimSuffix(file, ".txt")}
	lines := strings.SplitAfter(text, "\n")
	for i := 0; i < len(lines); {
		line := strings.TrimSpace(lines[i])
		if name, ok := strings.CutPrefix(line, "--- "); ok {
			used, err := m.addEdit(name, lines[i+1:])
			if err != nil {
				return nil, fmt.Errorf("line %d: %w", i+1, err)
			}
			i += used + 1
			continue
		}
		i++
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		key, value, _ := strings.Cut(line, ":")
		if err := m.set(key, strings.TrimSpace(value)); err != nil {
			return nil, fmt.Errorf("line %d: %w", i, err)
		}
	}
	return m, m.complete()
}

// addEdit reads a block behind its first line, and returns how many lines it has.
func (m *mutant) addEdit(file string, lines []string) (used int, err error) {
	e := edit{file: file}
	into := &e.old
	for i, line := range lines {
		switch strings.TrimSpace(line) {
		case "--- becomes":
			into = &e.new
		case "--- end":
			m.edits = append(m.edits, e)
			if into == &e.old || e.old == "" || e.old == e.new {
				return 0, fmt.Errorf("the block of %s has no lines to replace, or replaces them with the same", file)
			}
			return i + 1, nil
		default:
			*into += line
		}
	}
	return 0, fmt.Errorf("the block of %s has no line \"--- end\"", file)
}

func (m *mutant) set(key, value string) (err error) {
	if value == "" {
		return fmt.Errorf("%q has no value", key)
	}
	switch key {
	case "what":
		m.what = value
	case "kind":
		m.kind = value
	case "test":
		m.test = value
	case "cannot be caught":
		m.reason = value
	case "caught by":
		m.catches = append(m.catches, catch{name: value})
	case "seen":
		if len(m.catches) == 0 {
			return errors.New("\"seen\" follows no \"caught by\"")
		}
		m.catches[len(m.catches)-1].seen, err = regexp.Compile(value)
	default:
		return fmt.Errorf("there is no key %q", key)
	}
	return err
}

// complete says what a mutant lacks.
func (m *mutant) complete() error {
	var seen error
	for _, c := range m.catches {
		if c.seen == nil {
			seen = fmt.Errorf("say with \"seen\" what the case %s must have seen", c.name)
		}
	}
	need := func(ok bool, text string) error {
		if ok {
			return nil
		}
		return errors.New(text)
	}
	return cmp.Or(
		need(m.what != "" && m.kind != "", "\"what\" or \"kind\" is missing"),
		need(len(m.edits) > 0, "it changes nothing"),
		need((m.reason == "") != (len(m.catches) == 0), "either cases catch it, or it has a reason why none can"),
		seen,
	)
}

// apply returns the changed files, by name in the adapter's folder. The error says which lines are
// not there once.
func (m *mutant) apply(read func(file string) ([]byte, error)) (map[string][]byte, error) {
	changed := map[string][]byte{}
	for _, e := range m.edits {
		source, ok := changed[e.file]
		if !ok {
			var err error
			if source, err = read(e.file); err != nil {
				return nil, err
			}
		}
		text := "\n" + string(source)
		if n := strings.Count(text, "\n"+e.old); n != 1 {
			return nil, fmt.Errorf("%s has these lines %d times, and the mutant replaces them; adapt the mutant to the file as it is:\n%s",
				e.file, n, e.old)
		}
		changed[e.file] = []byte(strings.Replace(text, "\n"+e.old, "\n"+e.new, 1)[1:])
	}
	return changed, nil
}
