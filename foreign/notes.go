package foreign

import (
	"errors"
	"strconv"
	"strings"
)

const (
	repairedName = "leatrepaired"
	mostRepaired = 4 << 10 // bytes of the list

	noteMessage = "message" // the name in the list of what concerns no attribute alone
)

// notes are what was changed, for the extension leatrepaired.
type notes []string

// add adds a change whose original is not to be seen in the event any more.
func (n *notes) add(name, rule, was string) {
	*n = append(*n, name+": "+rule+" (was "+strconv.QuoteToASCII(was)+")")
}

// kept adds a change whose original is to be seen in the event.
func (n *notes) kept(name, rule string) { *n = append(*n, name+": "+rule) }

// text returns the list. It ends with what the message said itself, which is not to be confused
// with what Lenient did.
func (n *notes) text(outside *attribute) (string, error) {
	list := strings.Join(*n, "; ")
	if outside != nil {
		list += "; " + repairedName + ": the message came with it (was " + strconv.QuoteToASCII(outside.text) + ")"
	}
	if len(list) > mostRepaired {
		return "", errors.New("what is to be repaired is more than a list of 4 KiB can name")
	}
	return list, nil
}
