package leat

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"time"
)

// The runs of suspects are noted in a topic of the group, because the process that a run ends has no memory afterwards, and the broker's
// count of deliveries does not tell a run from a prefetch. The newest note of the topic is the state: all runs that began and have not
// come back. Only the stream that holds the topic's one key reads and writes it, so that the members of a group take turns.

// suspectNote is the data of one event of that topic.
type suspectNote struct {
	Kind    noteKind `json:"kind"`
	Session string   `json:"session"`
	// Runs is the state, for noteState.
	Runs []suspectRun `json:"runs,omitempty"`
}

// suspectRun is a run that began and has not come back.
type suspectRun struct {
	Event string `json:"event"` // a hash of the event
	Run   string `json:"run"`
}

type noteKind string

const (
	// noteKnock is published by a member that waits for its turn: when it comes to the member itself, the turn has come.
	noteKnock noteKind = "knock"
	// noteBegin is published when the turn has come. All notes of the member before come before it, so the state is known then; a state that
	// another session publishes after it does not count.
	noteBegin noteKind = "begin"
	// noteState has the state.
	noteState noteKind = "state"
)

const (
	suspectType    = "leat.suspects.v1"
	suspectTimeout = 10 * time.Second // of one note
	knockEvery     = 5 * time.Second
	// maxSuspectRuns bounds the state, at about 110 bytes each. The oldest run is forgotten first.
	maxSuspectRuns = 1_000
)

// suspectsTopic returns the topic in which the runs of a group's suspects are noted, named by the rule of [PoisonTopic].
func suspectsTopic(topic, group string) string { return topicOfGroup(topic, group, "suspects") }

// suspectID returns the hash that names an event in the notes: of source, id and data.
func suspectID(e Event) string {
	h := sha256.New()
	for _, part := range []string{e.Source(), e.ID(), e.DataString()} {
		_, _ = h.Write(binary.AppendUvarint(nil, uint64(len(part))))
		_, _ = h.Write([]byte(part))
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}
