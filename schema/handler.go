package schema

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"github.com/leatgo/leat"
)

// HandlerOptions are the options of [Handler]. The zero value works.
type HandlerOptions struct {
	// Writable lets clients register schemas and change levels. Nobody is asked who he is: put a
	// handler around it that does, or listen on the loopback interface.
	Writable bool
}

// Handler serves a registry over HTTP, with the paths, bodies and error codes of Confluent's Schema
// Registry, so that its clients can use it: for tests, and for teams whose schemas are a directory
// ([FromFS]). It has subjects, versions, schemas by ID and by GUID, levels and the check of
// compatibility, and not modes, contexts, metadata, rules and deletes. A nil o means the defaults.
func Handler(m *Memory, o *HandlerOptions) http.Handler {
	if o == nil {
		o = &HandlerOptions{}
	}
	h := &handler{m}
	mux := http.NewServeMux()
	read := func(pattern string, answer func(r *http.Request) (any, error)) {
		mux.HandleFunc(pattern, answering(answer))
	}
	write := func(pattern string, answer func(r *http.Request) (any, error)) {
		if !o.Writable {
			answer = func(*http.Request) (any, error) { return nil, errReadOnly }
		}
		read(pattern, answer)
	}
	read("GET /subjects", h.listSubjects)
	read("GET /subjects/{subject}/versions", h.listVersions)
	read("GET /subjects/{subject}/versions/{version}", h.version)
	read("GET /subjects/{subject}/versions/{version}/schema", h.text)
	read("POST /subjects/{subject}", h.lookup)
	write("POST /subjects/{subject}/versions", h.register)
	read("GET /schemas/ids/{id}", h.byID)
	read("GET /schemas/guids/{guid}", h.byGUID)
	read("GET /schemas/types", h.types)
	read("POST /compatibility/subjects/{subject}/versions", h.check)
	read("POST /compatibility/subjects/{subject}/versions/{version}", h.check)
	read("GET /config", h.defaultLevel)
	read("GET /config/{subject}", h.level)
	write("PUT /config/{subject}", h.setLevel)
	return mux
}

type handler struct{ registry *Memory }

// definitionBody is a schema in a request or an answer. Without schemaType it is Avro.
type definitionBody struct {
	Type       string      `json:"schemaType,omitempty"`
	Text       string      `json:"schema"`
	References []reference `json:"references,omitempty"`
}

// schemaBody is a version in an answer.
type schemaBody struct {
	definitionBody

	Subject string `json:"subject,omitempty"`
	Version int    `json:"version,omitempty"`
	ID      int    `json:"id,omitempty"`
	GUID    string `json:"guid,omitempty"`
}

type levelBody struct {
	Level Level `json:"compatibilityLevel"`
}

// restError is an error with the number by which clients know it.
type restError struct {
	status, number int
	message        string
}

func (e *restError) Error() string { return e.message }

var errReadOnly = &restError{http.StatusForbidden, 40301, "this registry is read only"}

const maxBody = 4 << 20

// answering returns the HTTP handler of an answer, which is written as JSON.
func answering(answer func(r *http.Request) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		value, err := answer(r)
		w.Header().Set("Content-Type", "application/vnd.schemaregistry.v1+json")
		if err != nil {
			e := restErrorOf(err)
			w.WriteHeader(e.status)
			value = map[string]any{"error_code": e.number, "message": e.message}
		}
		_ = json.NewEncoder(w).Encode(value) // the client has gone
	}
}

func restErrorOf(err error) *restError {
	if e, ok := errors.AsType[*restError](err); ok {
		return e
	}
	switch leat.CodeOf(err) {
	case leat.CodeNotFound:
		return &restError{http.StatusNotFound, 40403, err.Error()}
	case leat.CodeConflict:
		return &restError{http.StatusConflict, http.StatusConflict, err.Error()}
	case leat.CodeInvalid, leat.CodeUnsupported, leat.CodeTooLarge:
		return &restError{http.StatusUnprocessableEntity, 42201, err.Error()}
	}
	return &restError{http.StatusInternalServerError, 50001, err.Error()}
}

func (h *handler) listSubjects(*http.Request) (any, error) {
	names := h.registry.Subjects()
	if names == nil {
		names = []string{}
	}
	return names, nil
}

func (h *handler) listVersions(r *http.Request) (any, error) {
	versions, err := h.registry.Versions(r.Context(), r.PathValue("subject"))
	return versions, numbered(err, 40401)
}

// numbered gives an error that says that something is missing the number of what it is.
func numbered(err error, number int) error {
	if leat.CodeOf(err) == leat.CodeNotFound {
		return &restError{http.StatusNotFound, number, err.Error()}
	}
	return err
}

func (h *handler) find(r *http.Request) (*Schema, error) {
	subject, version := r.PathValue("subject"), 0
	if _, err := h.registry.Versions(r.Context(), subject); err != nil {
		return nil, numbered(err, 40401)
	}
	if text := r.PathValue("version"); text != "latest" && text != "-1" && text != "" {
		var ok bool
		if version, ok = versionOf(text); !ok {
			return nil, &restError{http.StatusUnprocessableEntity, 42202, "the version is not a number from 1, and not latest"}
		}
	}
	s, err := h.registry.ByRef(r.Context(), Ref{subject, version})
	return s, numbered(err, 40402)
}

func bodyOf(s *Schema) *schemaBody {
	b := &schemaBody{Subject: s.Subject, Version: s.Version, ID: s.ID, GUID: s.GUID, definitionBody: definitionBody{Text: s.Text}}
	if s.Format != avroFormat {
		b.Type = s.Format
	}
	for _, own := range s.References {
		b.References = append(b.References, reference{Name: own.Name, Subject: own.Ref.Subject, Version: own.Ref.Version})
	}
	return b
}

const avroFormat = "AVRO"

func (h *handler) version(r *http.Request) (any, error) {
	s, err := h.find(r)
	if err != nil {
		return nil, err
	}
	return bodyOf(s), nil
}

func (h *handler) text(r *http.Request) (any, error) {
	s, err := h.find(r)
	if err != nil {
		return nil, err
	}
	if json.Valid([]byte(s.Text)) {
		return json.RawMessage(s.Text), nil
	}
	return s.Text, nil // of Protobuf
}

func (h *handler) byID(r *http.Request) (any, error) {
	id, err := strconv.Atoi(r.PathValue("id"))
	if err != nil {
		return nil, &restError{http.StatusNotFound, 40403, "the ID is not a number"}
	}
	s, err := h.registry.ByID(r.Context(), "", id)
	return withoutSubject(s), err
}

func (h *handler) byGUID(r *http.Request) (any, error) {
	s, err := h.registry.ByGUID(r.Context(), "", r.PathValue("guid"))
	return withoutSubject(s), err
}

func withoutSubject(s *Schema) any {
	if s == nil {
		return nil
	}
	b := bodyOf(s)
	b.Subject, b.Version = "", 0
	return b
}

func (h *handler) types(*http.Request) (any, error) {
	names := make([]string, 0, len(h.registry.formats))
	for _, f := range h.registry.formats {
		names = append(names, f.Name())
	}
	return names, nil
}

// given reads the definition of a request.
func given(r *http.Request) (Definition, error) {
	var body definitionBody
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		return Definition{}, &restError{http.StatusUnprocessableEntity, 42201, "the body is not the JSON of a schema"}
	}
	d := Definition{Format: body.Type, Text: body.Text}
	if d.Format == "" {
		d.Format = avroFormat
	}
	for _, own := range body.References {
		d.References = append(d.References, Reference{own.Name, Ref{own.Subject, own.Version}})
	}
	return d, nil
}

func (h *handler) lookup(r *http.Request) (any, error) {
	d, err := given(r)
	if err != nil {
		return nil, err
	}
	subject := r.PathValue("subject")
	if _, err := h.registry.Versions(r.Context(), subject); err != nil {
		return nil, numbered(err, 40401)
	}
	s, _, err := h.registry.candidate(subject, d)
	if err == nil && s.ID == 0 {
		err = &restError{http.StatusNotFound, 40403, fmt.Sprintf("subject %.300q has no such schema", subject)}
	}
	if err != nil {
		return nil, err
	}
	return bodyOf(s), nil
}

func (h *handler) register(r *http.Request) (any, error) {
	d, err := given(r)
	if err != nil {
		return nil, err
	}
	s, err := h.registry.Register(r.Context(), r.PathValue("subject"), d)
	if err != nil {
		return nil, err
	}
	return map[string]any{"id": s.ID, "version": s.Version, "guid": s.GUID}, nil
}

// check compares a definition with the subject as its level says, or with one version of it.
func (h *handler) check(r *http.Request) (any, error) {
	d, err := given(r)
	if err != nil {
		return nil, err
	}
	if _, err := h.registry.Versions(r.Context(), r.PathValue("subject")); err != nil {
		return nil, numbered(err, 40401)
	}
	breaks, err := h.registry.Check(r.Context(), r.PathValue("subject"), d)
	if err != nil {
		return nil, err
	}
	messages := []string{}
	for _, b := range breaks {
		messages = append(messages, b.String())
	}
	return map[string]any{"is_compatible": len(breaks) == 0, "messages": messages}, nil
}

func (h *handler) defaultLevel(*http.Request) (any, error) { return levelBody{h.registry.level}, nil }

func (h *handler) level(r *http.Request) (any, error) {
	return levelBody{h.registry.Level(r.PathValue("subject"))}, nil
}

func (h *handler) setLevel(r *http.Request) (any, error) {
	var body struct {
		Level Level `json:"compatibility"`
	}
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		return nil, &restError{http.StatusUnprocessableEntity, 42203, "the body is not the JSON of a level"}
	}
	if err := h.registry.SetLevel(r.PathValue("subject"), body.Level); err != nil {
		return nil, &restError{http.StatusUnprocessableEntity, 42203, err.Error()}
	}
	return body, nil
}
