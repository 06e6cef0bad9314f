package awssnssqs

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestAllow: a policy lets the topic send afterwards, has all that it had, and stays as it is where
// that is enough.
func TestAllow(t *testing.T) {
	t.Parallel()
	const queueARN, topicARN = "arn:aws:sqs:eu-west-1:111122223333:q", "arn:aws:sns:eu-west-1:111122223333:t"
	statement := func(effect, principal, action, resource, condition string) string {
		return `{"Effect":"` + effect + `","Principal":` + principal + `,"Action":` + action + `,"Resource":` + resource + condition + `}`
	}
	const sns, send, here, all = `{"Service":"sns.amazonaws.com"}`, `"sqs:SendMessage"`, `"` + queueARN + `"`, `"*"`
	condition := func(operator, arns string) string {
		return `,"Condition":{"` + operator + `":{"aws:SourceArn":` + arns + `}}`
	}
	account := func(id string) string { return `,"Condition":{"StringEquals":{"aws:SourceAccount":"` + id + `"}}` }
	topic := condition("ArnEquals", `"`+topicARN+`"`)
	like, other := condition("ArnLike", `"arn:aws:sns:*:t"`), condition("ArnNotEquals", `"`+topicARN+`"`)
	second := `,"Condition":{"ArnEquals":{"aws:SourceArn":"` + topicARN + `"},"StringEquals":{"aws:PrincipalOrgID":"o-1"}}`
	ours := statement("Allow", sns, send, here, topic)
	lists := statement("Allow", `{"Service":["sns.amazonaws.com"]}`, `["sqs:*"]`, `["`+queueARN+`"]`, topic)
	dapr := statement("Allow", sns, `"SQS:SendMessage"`, here, condition("ForAllValues:ArnEquals", `["arn:x","`+topicARN+`"]`))
	secure := statement("Deny", all, `"sqs:*"`, here, `,"Condition":{"Bool":{"aws:SecureTransport":"false"}}`)
	for name, c := range map[string]struct {
		statements      string
		changed, denied bool
	}{
		"none":                         {`[]`, true, false},
		"the one that Leat writes":     {`[` + ours + `]`, false, false},
		"one that is not in a list":    {ours, false, false},
		"lists everywhere":             {`[` + lists + `]`, false, false},
		"as Dapr and Terraform do":     {`[` + dapr + `]`, false, false},
		"everybody":                    {`[` + statement("Allow", all, send, all, "") + `]`, false, false},
		"everybody of AWS":             {`[` + statement("Allow", `{"AWS":"*"}`, send, here, topic) + `]`, false, false},
		"a pattern":                    {`[` + statement("Allow", sns, `"sqs:Send*"`, here, like) + `]`, false, false},
		"a pattern of others":          {`[` + statement("Allow", sns, send, here, condition("ArnLike", `"arn:aws:sns:*:u"`)) + `]`, true, false},
		"the account":                  {`[` + statement("Allow", sns, send, here, account("111122223333")) + `]`, false, false},
		"another account":              {`[` + statement("Allow", sns, send, here, account("444455556666")) + `]`, true, false},
		"all but the topic":            {`[` + statement("Allow", sns, send, here, other) + `]`, true, false},
		"a second condition":           {`[` + statement("Allow", sns, send, here, second) + `]`, true, false},
		"another topic":                {`[` + statement("Allow", sns, send, here, condition("ArnEquals", `"`+topicARN+`2"`)) + `]`, true, false},
		"another queue":                {`[` + statement("Allow", sns, send, `"arn:aws:sqs:eu-west-1:1:q"`, topic) + `]`, true, false},
		"another action":               {`[` + statement("Allow", sns, `"sqs:ReceiveMessage"`, here, topic) + `]`, true, false},
		"another principal":            {`[` + statement("Allow", `{"AWS":"arn:aws:iam::1:root"}`, `"sqs:*"`, here, "") + `]`, true, false},
		"denied":                       {`[` + statement("Deny", all, `"sqs:*"`, here, "") + `,` + ours + `]`, false, true},
		"denied without TLS":           {`[` + secure + `]`, true, false},
		"a statement that is not read": {`[{"Effect":"Deny","NotPrincipal":"*","NotAction":"x","Resource":7}]`, true, false},
	} {
		policy := `{"Version":"2008-10-17","Id":"mine","Statement":` + c.statements + `}`
		merged, changed, denied, err := allow(policy, queueARN, topicARN)
		require.NoError(t, err, name)
		assert.Equal(t, c.changed, changed, name)
		assert.Equal(t, c.denied, denied, name)
		var was, is struct {
			Version   string          `json:"Version"`
			ID        string          `json:"Id"`
			Statement json.RawMessage `json:"Statement"`
		}
		require.NoError(t, json.Unmarshal([]byte(policy), &was))
		require.NoError(t, json.Unmarshal([]byte(merged), &is))
		assert.Equal(t, "2008-10-17", is.Version)
		assert.Equal(t, "mine", is.ID)
		if !changed {
			assert.Equal(t, policy, merged, name)
			continue
		}
		var before, after []json.RawMessage
		require.NoError(t, json.Unmarshal(was.Statement, &before))
		require.NoError(t, json.Unmarshal(is.Statement, &after))
		require.Len(t, after, len(before)+1, name)
		assert.Equal(t, before, after[:len(before)], name)
		_, changed, _, err = allow(merged, queueARN, topicARN)
		require.NoError(t, err)
		assert.False(t, changed, "%s: once is enough", name)
	}
	for _, broken := range []string{"x", "[]", "null", "7"} {
		_, _, _, err := allow(broken, queueARN, topicARN)
		require.Error(t, err, broken)
	}
}
