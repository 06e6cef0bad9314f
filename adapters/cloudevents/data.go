package cloudevents

import (
	"encoding/json"
	"strings"
	"unicode/utf8"
)

// plainData reports whether the SDK's JSON format gets data back from the member data; all else
// must go into data_base64. It would write JSON data as it is, valid or not, and text with whatever
// it has.
func plainData(contentType, data string) bool {
	media, _, _ := strings.Cut(contentType, ";")
	media = strings.ToLower(strings.TrimSpace(media))
	if strings.ContainsAny(data, "\ufffe\uffff") { // not even XML allows these, and so SQS does not; Leat's own format does the same
		return false
	}
	switch media {
	case "", "application/json", "text/json":
		return validJSON(data)
	}
	return strings.HasPrefix(media, "text/") && plainText(data)
}

// validJSON reports whether data is JSON without white space around it, which a reader would lose.
func validJSON(data string) bool {
	return data != "" && strings.TrimSpace(data) == data && utf8.ValidString(data) && json.Valid([]byte(data))
}

// plainText reports whether data is UTF-8 without control characters but tab and line ends.
func plainText(data string) bool {
	for _, r := range data {
		if r < 0x20 && r != '\t' && r != '\n' && r != '\r' || r >= 0x7f && r < 0xa0 {
			return false
		}
	}
	return utf8.ValidString(data)
}
