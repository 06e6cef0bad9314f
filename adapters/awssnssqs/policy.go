package awssnssqs

import (
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"
)

const (
	snsPrincipal = "sns.amazonaws.com"
	sendAction   = "sqs:SendMessage"
)

// statement is what of a policy's statement matters here.
type statement struct {
	Effect    string          `json:"Effect"`
	Principal json.RawMessage `json:"Principal"`
	Action    texts           `json:"Action"`
	Resource  texts           `json:"Resource"`
	Condition json.RawMessage `json:"Condition"`
}

// texts is a text, or a list of them.
type texts []string

// UnmarshalJSON implements [json.Unmarshaler].
func (t *texts) UnmarshalJSON(data []byte) error {
	*t = texts{""}
	if json.Unmarshal(data, &(*t)[0]) == nil {
		return nil
	}
	return json.Unmarshal(data, (*[]string)(t))
}

// allow returns a queue's policy with which a topic may send to it. It keeps everything that the
// policy has, and changes nothing where a statement lets the topic send already. denied says that
// one forbids it whatever else is allowed.
func allow(policy, queueARN, topicARN string) (allowed string, changed, denied bool, err error) {
	document := map[string]json.RawMessage{"Version": json.RawMessage(`"2012-10-17"`)}
	if policy != "" {
		document = nil
		if json.Unmarshal([]byte(policy), &document) != nil || document == nil {
			return "", false, false, errors.New("the policy of the queue is not a JSON object; replace it")
		}
	}
	var all []json.RawMessage
	if one := document["Statement"]; json.Unmarshal(one, &all) != nil && len(one) > 0 {
		all = []json.RawMessage{one} // not in a list
	}
	may := false
	for _, raw := range all {
		var s statement
		if json.Unmarshal(raw, &s) != nil || !s.concerns(queueARN) {
			continue // with NotAction and the like, too
		}
		may = may || s.Effect == "Allow" && (len(s.Condition) == 0 || strings.Contains(string(s.Condition), strconv.Quote(topicARN)))
		denied = denied || s.Effect == "Deny" && len(s.Condition) == 0
	}
	if may {
		return policy, false, denied, nil
	}
	own, err := json.Marshal(map[string]any{
		"Effect": "Allow", "Principal": map[string]string{"Service": snsPrincipal}, "Action": sendAction, "Resource": queueARN,
		"Condition": map[string]any{"ArnEquals": map[string]string{"aws:SourceArn": topicARN}},
	})
	if err == nil {
		document["Statement"], err = json.Marshal(append(all, own))
	}
	merged, e := json.Marshal(document)
	return string(merged), true, denied, errors.Join(err, e)
}

// concerns reports whether a statement is about SNS that sends to a queue.
func (s *statement) concerns(queueARN string) bool {
	var everybody string
	var by map[string]texts
	_, _ = json.Unmarshal(s.Principal, &everybody), json.Unmarshal(s.Principal, &by) // it is one of the two
	is := func(texts texts, want ...string) bool {
		return slices.ContainsFunc(texts, func(text string) bool {
			return slices.ContainsFunc(want, func(w string) bool { return strings.EqualFold(text, w) })
		})
	}
	return (everybody == "*" || is(by["AWS"], "*") || is(by["Service"], snsPrincipal)) &&
		is(s.Action, sendAction, "sqs:*", "*") && is(s.Resource, queueARN, "*")
}
