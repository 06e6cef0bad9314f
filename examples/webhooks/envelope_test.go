package main

import (
	"io/fs"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestToEvent(t *testing.T) {
	const hello = "https://github.com/Codertocat/Hello-World"
	for _, c := range []struct{ id, eventType, source, subject, key string }{
		{"issues/opened", "com.github.issues.opened", hello, "issues/1", "Codertocat/Hello-World"},
		{"push/payload", "com.github.push", hello, "refs/tags/simple-tag", "Codertocat/Hello-World"},
		{"pull_request/opened.with-null-body", "com.github.pull_request.opened", hello, "pull/2", "Codertocat/Hello-World"},
		{"repository_dispatch/payload", "com.github.repository_dispatch.on-demand-test",
			"https://github.com/octo-org/octo-repo", "", "octo-org/octo-repo"},
		{"org_block/blocked", "com.github.org_block.blocked", "https://api.github.com/orgs/Octocoders", "", "Octocoders"},
		{"github_app_authorization/revoked", "com.github.github_app_authorization.revoked", "https://github.com/octocat", "", "octocat"},
		{"security_advisory/published", "com.github.security_advisory.published", "", "", ""},
	} {
		t.Run(c.id, func(t *testing.T) {
			deliveries, err := loadDeliveries(embeddedFiles(t))
			require.NoError(t, err)
			for _, d := range deliveries {
				if d.id != c.id {
					continue
				}
				e, err := d.toEvent()
				require.NoError(t, err)
				require.Equal(t, []string{c.id, c.eventType, c.source, c.subject, c.key},
					[]string{e.ID(), e.Type(), e.Source(), e.Subject(), e.Key()})
				data, err := fs.ReadFile(embeddedFiles(t), c.id+".json")
				require.NoError(t, err)
				require.Equal(t, string(data), e.DataString())
				return
			}
			require.Fail(t, "no such delivery")
		})
	}
}
