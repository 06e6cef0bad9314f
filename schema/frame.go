package schema

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/internal/uuid"
)

// Confluent's clients say in one of two ways which schema data was written with.
//
// The prefix is in front of the data: a 0 byte, and the number of the schema in 4 bytes. The header
// is that of a Kafka record: a 1 byte, and the GUID in 16 bytes. Both are followed, for Protobuf
// only, by the place of the message in its file: how many numbers there are, and the numbers, all
// as varints in zigzag. A single 0 byte stands for the first message.
const (
	schemaHeader   = "__value_schema_id"
	magicID        = 0
	magicGUID      = 1
	prefixBytes    = 5
	guidBytes      = 17
	protobufFormat = "PROTOBUF"
)

// framing is how a schema is named for Confluent's clients.
type framing struct {
	id      int
	guid    string
	prefix  string        // empty where the registry gives no number
	headers []leat.Header // nil where it gives no GUID
}

func framingOf(s *Schema) framing {
	f := framing{id: s.ID, guid: s.GUID}
	var indexes []byte
	if s.Format == protobufFormat {
		indexes = []byte{0}
	}
	if s.ID > 0 && s.ID <= math.MaxInt32 {
		f.prefix = string(append(binary.BigEndian.AppendUint32([]byte{magicID}, uint32(s.ID)), indexes...))
	}
	if isGUID(s.GUID) {
		value, _ := hex.AppendDecode([]byte{magicGUID}, []byte(strings.ReplaceAll(s.GUID, "-", ""))) // isGUID has looked
		f.headers = []leat.Header{{Name: schemaHeader, Value: append(value, indexes...)}}
	}
	return f
}

// readPrefix reads the number in front of data, and returns what is behind it. ok is false where
// the data does not begin with a prefix.
func readPrefix(data string) (id int, rest string, ok bool, err error) {
	switch {
	case len(data) > guidBytes && data[0] == 3 && (data[1] == 0 || data[1] == 5):
		return 0, "", false, errors.New("the data has the prefix of AWS Glue, which is not read")
	case data == "" || data[0] != magicID:
		return 0, data, false, nil
	case len(data) < prefixBytes:
		return 0, "", false, errors.New("the data ends within the prefix that names its schema")
	}
	n := binary.BigEndian.Uint32([]byte(data[1:prefixBytes]))
	if n == 0 || n > math.MaxInt32 {
		return 0, "", false, errors.New("the prefix of the data has a number that no schema has")
	}
	return int(n), data[prefixBytes:], true, nil
}

// readHeader reads the value of a header.
func readHeader(value []byte) (guid string, err error) {
	if len(value) < guidBytes || value[0] != magicGUID {
		return "", fmt.Errorf("the header %s has no GUID; it has %d bytes", schemaHeader, len(value))
	}
	if indexes := string(value[guidBytes:]); indexes != "" {
		rest, err := readIndexes(indexes)
		if err == nil && rest != "" {
			err = fmt.Errorf("the header %s is too long; it has %d bytes", schemaHeader, len(value))
		}
		if err != nil {
			return "", err
		}
	}
	return string(uuid.AppendText(make([]byte, 0, uuid.Len), [16]byte(value[1:guidBytes]))), nil
}

// readIndexes reads the place of a message of Protobuf, and returns what is behind it.
func readIndexes(data string) (rest string, err error) {
	count, rest, ok := readVarint(data)
	index := int64(0)
	if ok && count == 1 {
		index, rest, ok = readVarint(rest)
	}
	switch {
	case !ok:
		return "", errors.New("the place of the message in its schema is malformed")
	case count < 0 || count > 1 || index != 0:
		return "", errors.New("the message is not the first one of its schema; only that one is read")
	}
	return rest, nil
}

func readVarint(data string) (n int64, rest string, ok bool) {
	n, size := binary.Varint([]byte(data[:min(len(data), binary.MaxVarintLen64)]))
	if size <= 0 {
		return 0, "", false
	}
	return n, data[size:], true
}

// isGUID reports whether it is one as a [Schema] has it.
func isGUID(s string) bool {
	if len(s) != uuid.Len {
		return false
	}
	for i := range len(s) {
		switch c := s[i]; {
		case i == 8 || i == 13 || i == 18 || i == 23:
			if c != '-' {
				return false
			}
		case c < '0' || c > '9' && c < 'a' || c > 'f':
			return false
		}
	}
	return true
}
