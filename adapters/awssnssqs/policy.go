package awssnssqs

import (
	"encoding/json"
	"errors"
	"regexp"
	"slices"
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
		may = may || s.Effect == "Allow" && s.holds(topicARN)
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
	return (everybody == "*" || slices.Contains(by["AWS"], "*") || slices.Contains(by["Service"], snsPrincipal)) &&
		s.Action.match(strings.ToLower(sendAction)) && s.Resource.match(queueARN)
}

// holds reports whether the condition of a statement is certainly true of what a topic sends.
func (s *statement) holds(topicARN string) bool {
	if len(s.Condition) == 0 {
		return true
	}
	var all map[string]map[string]texts // values by operator and key
	if json.Unmarshal(s.Condition, &all) != nil {
		return false
	}
	for operator, keys := range all {
		operator = operator[strings.LastIndex(operator, ":")+1:] // without ForAnyValue: and ForAllValues:
		for key, values := range keys {
			is := ""
			switch strings.ToLower(key) {
			case "aws:sourcearn":
				is = topicARN
			case "aws:sourceaccount":
				is = strings.Split(topicARN+":::::", ":")[4]
			}
			switch strings.ToLower(operator) {
			case "arnequals", "arnlike", "stringlike": // the first two are the same
				if !values.match(is) {
					return false
				}
			case "stringequals":
				if !slices.Contains(values, is) {
					return false
				}
			default:
				return false
			}
		}
	}
	return true
}

// match reports whether one of the texts, in which * and ? stand for others, matches is. Actions
// have no case.
func (t texts) match(is string) bool {
	return is != "" && slices.ContainsFunc(t, func(pattern string) bool {
		if strings.HasPrefix(is, "sqs:") {
			pattern = strings.ToLower(pattern)
		}
		quoted := strings.NewReplacer(`\*`, ".*", `\?`, ".").Replace(regexp.QuoteMeta(pattern))
		return regexp.MustCompile("^" + quoted + "$").MatchString(is)
	})
}
