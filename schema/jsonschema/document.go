package jsonschema

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/leatgo/leat/schema"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// documents are the texts of a bundle, decoded as far as something refers to them.
type documents struct {
	texts     map[string]string // by address
	resources map[string]node   // documents, and what has an $id in them, by address
	anchors   map[string]node   // by address, # and name
	compiler  *jsonschema.Compiler
}

// document is one text.
type document struct {
	all     *documents
	address string
	draft   draft
	bases   map[string]string   // the addresses of its resources, by their pointers
	members map[string][]member // what named has returned
}

// node is a part of a document that is a schema: true, false or an object.
type node struct {
	in      *document // nil for one that stands for an assumption about a value
	pointer string    // of the part in the document
	content any
	without string // the keywords that were taken out of content
	full    any    // content with them
}

func newDocuments(b schema.Bundle) (*documents, error) {
	d := &documents{texts: addressesOf(&b), resources: map[string]node{}, anchors: map[string]node{}, compiler: newCompiler(b)}
	_, err := d.load(main)
	return d, err
}

// root is the schema itself.
func (d *documents) root() node { return d.resources[main] }

// load returns the resource with an address.
func (d *documents) load(address string) (node, error) {
	if n, ok := d.resources[address]; ok {
		return n, nil
	}
	text, ok := d.texts[address]
	if !ok {
		return node{}, fmt.Errorf("a $ref names %.300q, which is not among the references", strings.TrimPrefix(address, root))
	}
	var content any
	if err := json.Unmarshal([]byte(text), &content); err != nil {
		return node{}, err
	}
	doc := &document{
		all: d, address: address, draft: draftOf(content), bases: map[string]string{"": address}, members: map[string][]member{},
	}
	n := node{in: doc, content: content}
	trim(n, doc.draft)
	clear(doc.members) // of before
	d.resources[address] = n
	d.index(n, address)
	return n, nil
}

// index notes the resources and the anchors of a schema.
func (d *documents) index(n node, base string) {
	o := n.object()
	keyword := "$id"
	if n.in.draft == draft4 {
		keyword = "id"
	}
	_, refers := o["$ref"]
	if id, ok := o[keyword].(string); ok && (n.in.draft > draft7 || !refers) {
		if name, isAnchor := strings.CutPrefix(id, "#"); isAnchor {
			d.anchors[base+"#"+name] = n
		} else {
			base = resolve(base, id)
			n.in.bases[n.pointer] = base
			if _, ok := d.resources[base]; !ok {
				d.resources[base] = n
			}
		}
	}
	for _, keyword := range []string{"$anchor", "$dynamicAnchor"} {
		if name, ok := o[keyword].(string); ok {
			d.anchors[base+"#"+name] = n
		}
	}
	for _, child := range n.children() {
		d.index(child, base)
	}
}

// base returns the address from which the references of a schema count.
func (n node) base() string {
	for pointer := n.pointer; ; pointer = pointer[:strings.LastIndexByte(pointer, '/')] {
		if base, ok := n.in.bases[pointer]; ok {
			return base
		}
	}
}

// child returns a part of a part. path are keywords, names and indexes.
func (n node) child(content any, path ...string) node {
	var pointer strings.Builder
	pointer.WriteString(n.pointer)
	for _, p := range path {
		pointer.WriteString("/" + escape.Replace(p))
	}
	return node{in: n.in, pointer: pointer.String(), content: content}
}

// object returns the keywords of a schema; none for true and false.
func (n node) object() map[string]any {
	o, _ := n.content.(map[string]any)
	return o
}

// never reports whether the schema is false.
func (n node) never() bool { return n.content == false }

// less returns a schema without a keyword.
func (n node) less(keyword string) node {
	rest := map[string]any{}
	for k, v := range n.object() {
		if k != keyword {
			rest[k] = v
		}
	}
	return node{in: n.in, pointer: n.pointer, content: rest, without: n.without + " " + keyword, full: n.entire().content}
}

// whole reports whether a schema is one of a document as it stands there.
func (n node) whole() bool { return n.in != nil && n.without == "" }

// entire returns a schema as it stands in its document.
func (n node) entire() node {
	if n.without == "" {
		return n
	}
	return node{in: n.in, pointer: n.pointer, content: n.full}
}

// schemas returns the children of a keyword that has a list of schemas.
func (n node) schemas(keyword string) []node {
	list, _ := n.object()[keyword].([]any)
	children := make([]node, len(list))
	for i, content := range list {
		children[i] = n.child(content, keyword, strconv.Itoa(i))
	}
	return children
}

// named returns the children of a keyword that has schemas by name, in the order of the names.
func (n node) named(keyword string) []member {
	object, _ := n.object()[keyword].(map[string]any)
	if len(object) == 0 {
		return nil
	}
	at := n.pointer + "/" + keyword
	if n.whole() && n.in.members[at] != nil {
		return n.in.members[at]
	}
	children := make([]member, 0, len(object))
	for name, content := range object {
		children = append(children, member{name, n.child(content, keyword, name)})
	}
	slices.SortFunc(children, func(a, b member) int { return strings.Compare(a.name, b.name) })
	if n.whole() {
		n.in.members[at] = children
	}
	return children
}

// member is a schema with a name.
type member struct {
	name string
	node node
}

// one returns the child of a keyword that has a schema.
func (n node) one(keyword string) (node, bool) {
	content, ok := n.object()[keyword]
	if _, isList := content.([]any); !ok || isList {
		return node{}, false
	}
	return n.child(content, keyword), true
}

// refer returns what the $ref of a schema names.
func (n node) refer(ref string) (node, error) {
	address := resolve(n.base(), ref)
	at, err := n.in.all.load(address)
	if err != nil {
		return node{}, err
	}
	_, fragment, _ := strings.Cut(ref, "#")
	if fragment, err = url.PathUnescape(fragment); err != nil {
		return node{}, fmt.Errorf("the $ref %.300q has a wrong escape", ref)
	}
	switch {
	case fragment == "":
		return at, nil
	case fragment[0] != '/':
		if found, ok := n.in.all.anchors[address+"#"+fragment]; ok {
			return found, nil
		}
		return node{}, fmt.Errorf("the $ref %.300q names an anchor that is not there", ref)
	}
	for token := range strings.SplitSeq(fragment[1:], "/") {
		token = unescape.Replace(token)
		switch content := at.content.(type) {
		case map[string]any:
			at = at.child(content[token], token)
		case []any:
			i, err := strconv.Atoi(token)
			if err != nil || i < 0 || i >= len(content) {
				return node{}, fmt.Errorf("the $ref %.300q names nothing", ref)
			}
			at = at.child(content[i], token)
		default:
			return node{}, fmt.Errorf("the $ref %.300q names nothing", ref)
		}
	}
	switch at.content.(type) {
	case map[string]any, bool:
		return at, nil
	}
	return node{}, fmt.Errorf("the $ref %.300q names nothing that is a schema", ref)
}

// Tokens of a JSON Pointer (RFC 6901).
var (
	escape   = strings.NewReplacer("~", "~0", "/", "~1") //nolint:gochecknoglobals // a table
	unescape = strings.NewReplacer("~1", "/", "~0", "~") //nolint:gochecknoglobals // a table
)

// accepts reports whether a schema of the documents accepts a value.
func (d *documents) accepts(n node, value any) (bool, error) {
	fragment := url.URL{Fragment: n.pointer}
	compiled, err := d.compiler.Compile(n.in.address + "#" + fragment.EscapedFragment())
	if err != nil {
		return false, err
	}
	err = compiled.Validate(value)
	_, invalid := errors.AsType[*jsonschema.ValidationError](err)
	if err != nil && !invalid {
		return false, err
	}
	return err == nil, nil
}
