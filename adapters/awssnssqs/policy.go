package awssnssqs

import (
	"encoding/json"
	"errors"
	"path"
	"slices"
	"strings"
)

const (
	snsPrincipal = "sns.amazonaws.com"
	sendAction   = "sqs:SendMessage"
	emptyPolicy  = `{"Version":"2012-10-17"}`
)

// statement is what of a policy's statement matters here. AWS writes one text or a list of them.
type statement struct {
	Effect    string                      `json:"Effect"`
	Principal json.RawMessage             `json:"Principal"`
	Action    texts                       `json:"Action"`
	Resource  texts                       `json:"Resource"`
	Condition map[string]map[string]texts `json:"Condition"`
}

// texts is a text, or a list of them.
type texts []string

// UnmarshalJSON implements [json.Unmarshaler].
func (t *texts) UnmarshalJSON(data []byte) error {
	var one string
	if json.Unmarshal(data, &one) == nil {
		*t = texts{one}
		return nil
	}
	return json.Unmarshal(data, (*[]string)(t))
}

// allow returns a queue's policy with which a topic may send to it. It keeps everything that the
// policy has, and changes nothing where the topic may send already. denied says that a statement
// forbids it whatever else is allowed.
func allow(policy, queueARN, topicARN string) (allowed string, changed, denied bool, err error) {
	document := map[string]json.RawMessage{}
	if policy == "" {
		policy = emptyPolicy
	}
	if json.Unmarshal([]byte(policy), &document) != nil {
		return "", false, false, errors.New("the policy of the queue is not JSON that Leat can read; let it allow " +
			snsPrincipal + " the action " + sendAction + " for the topic")
	}
	all, may := statements(document["Statement"]), false
	for _, raw := range all {
		var s statement
		if json.Unmarshal(raw, &s) != nil || !s.concerns(queueARN) {
			continue // NotAction, NotPrincipal and the like
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
	if err != nil {
		return "", false, denied, err
	}
	merged, err := json.Marshal(document)
	return string(merged), true, denied, err
}

// statements returns the statements of a policy, which may be one that is not in a list.
func statements(raw json.RawMessage) (all []json.RawMessage) {
	if len(raw) > 0 && json.Unmarshal(raw, &all) != nil {
		return []json.RawMessage{raw}
	}
	return all
}

// concerns reports whether a statement is about SNS that sends to a queue.
func (s *statement) concerns(queueARN string) bool {
	return s.isSNS() && matchesAny(s.Action, strings.ToLower(sendAction), true) && matchesAny(s.Resource, queueARN, false)
}

// isSNS reports whether SNS is one whom a statement is about.
func (s *statement) isSNS() bool {
	var everybody string
	if json.Unmarshal(s.Principal, &everybody) == nil {
		return everybody == "*"
	}
	var by map[string]texts
	return json.Unmarshal(s.Principal, &by) == nil &&
		(slices.Contains(by["AWS"], "*") || slices.Contains(by["Service"], snsPrincipal) || slices.Contains(by["Service"], "*"))
}

// holds reports whether the conditions of a statement are fulfilled for what a topic sends, as far
// as they are about the topic and its account. Other conditions are not known to be.
func (s *statement) holds(topicARN string) bool {
	account := ""
	if parts := strings.Split(topicARN, ":"); len(parts) > 4 {
		account = parts[4]
	}
	for operator, keys := range s.Condition {
		_, simple, set := strings.Cut(operator, ":") // such as ForAllValues:ArnEquals
		if !set {
			simple = operator
		}
		equals := simple == "ArnEquals" || simple == "ArnLike" || simple == "StringEquals" || simple == "StringLike"
		for key, values := range keys {
			of := map[string]string{"aws:sourcearn": topicARN, "aws:sourceaccount": account}[strings.ToLower(key)]
			if !equals || of == "" || !matchesAny(values, of, false) {
				return false
			}
		}
	}
	return true
}

// matchesAny reports whether a text is one of patterns with '*' and '?'.
func matchesAny(patterns texts, text string, lower bool) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		if lower {
			pattern = strings.ToLower(pattern)
		}
		ok, err := path.Match(strings.NewReplacer("[", "\\[", "\\", "\\\\").Replace(pattern), text)
		return err == nil && ok
	})
}
