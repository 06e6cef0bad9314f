package foreign

import (
	"encoding/base64"
	"encoding/json"
	"strings"
)

// mendVersion writes the version as CloudEvents has it: some write that of the document, or a
// number.
func mendVersion(r *repair) error {
	a := r.get(attrVersion)
	if a == nil {
		return attributeError(attrVersion, "is missing")
	}
	was := *a
	switch strings.TrimPrefix(a.text, "v") {
	case "1.0", "1", "1.0.0", "1.0.1", "1.0.2":
		a.set("1.0")
	case "0.3":
		r.version03 = true
		a.set("1.0")
	default:
		return attributeError(attrVersion, "is neither 1.0 nor 0.3")
	}
	if was.kind != kindText || was.text != a.text {
		r.notes.add(attrVersion, "read as 1.0", was.text)
	}
	return nil
}

// mend03 makes an event of CloudEvents 1.0 of one of 0.3: its schemaurl is now dataschema, unless
// it is relative, and data that is not text is in base64 by its content type or its
// datacontentencoding.
func mend03(r *repair) error {
	if !r.version03 {
		return nil
	}
	if a := r.get(attrSchemaURL); a != nil && r.get(attrSchema) == nil && (a.text == "" || isAbsolute(a.text)) {
		a.name = attrSchema
		r.notes.kept(attrSchema, "was schemaurl in CloudEvents 0.3")
	}
	coded := false
	if a := r.get(attrEncoding); a != nil {
		if coded = strings.EqualFold(a.text, "base64"); !coded {
			return attributeError(attrEncoding, "is not base64, the only one that CloudEvents 0.3 has")
		}
		r.notes.add(attrEncoding, "of CloudEvents 0.3, removed", r.remove(attrEncoding))
	}
	if r.structured {
		return decode03JSON(r, coded)
	}
	return decode03Body(r, coded)
}

// decode03JSON decodes data of structured mode. Where the data is not a string, the encoding means
// nothing (0.3, datacontentencoding).
func decode03JSON(r *repair, coded bool) error {
	if len(r.data) == 0 || r.data[0] != '"' || r.base64 != nil || !coded && !isBinary(r) {
		return nil
	}
	if !wholeText(r.data) {
		return attributeError(memberData, "has half of a surrogate pair")
	}
	var text string
	if err := json.Unmarshal(r.data, &text); err != nil {
		return err
	}
	text = strings.NewReplacer("\r", "", "\n", "").Replace(text) // RFC 2045 wraps lines
	if _, err := base64.StdEncoding.Strict().DecodeString(text); err != nil {
		if coded {
			return attributeError(memberData, "is not base64")
		}
		return nil
	}
	r.data, r.base64 = nil, textJSON(text)
	r.notes.kept(memberData, "base64 of CloudEvents 0.3, decoded")
	return nil
}

// decode03Body decodes data of binary mode. CloudEvents 0.3 does not say whether the encoding
// counts there; the SDKs of its time decode.
func decode03Body(r *repair, coded bool) error {
	if !coded || r.body == nil {
		return nil
	}
	b, err := base64.StdEncoding.Strict().DecodeString(string(r.body))
	if err != nil {
		return attributeError(memberData, "is not base64")
	}
	r.body = b
	r.notes.kept(memberData, "base64 of CloudEvents 0.3, decoded")
	return nil
}

// isBinary reports whether the content type is neither JSON nor text (JSON format 0.3, §3.1).
func isBinary(r *repair) bool {
	a := r.get(attrContentType)
	if a == nil {
		return false
	}
	media, _, _ := strings.Cut(strings.ToLower(a.text), ";")
	media = strings.TrimSpace(media)
	isText := strings.HasPrefix(media, "text/") || strings.Contains(strings.ToLower(a.text), "charset=")
	if media == "" || isText || strings.Contains(media, "json") {
		return false
	}
	for _, text := range []string{"xml", "yaml", "javascript", "x-www-form-urlencoded"} {
		if strings.HasSuffix(media, "/"+text) || strings.HasSuffix(media, "+"+text) {
			return false
		}
	}
	return true
}
