package main

// The types that the issues service handles. GitHub's payloads have far more members; a service
// declares those that it reads.
const (
	issueTypePrefix = "com.github.issues."
	commentType     = "com.github.issue_comment.created"
	pullRequestType = "com.github.pull_request.opened"
	pushType        = "com.github.push"
)

// issueActions are the changes of an issue that the service follows; it has no use for the others,
// such as "pinned".
var issueActions = []string{"opened", "edited", "labeled", "unlabeled", "assigned", "unassigned", "locked", "unlocked"}

// issueEvent is the payload of com.github.issues.*.
type issueEvent struct {
	Action     string     `json:"action"`
	Issue      issue      `json:"issue"`
	Repository repository `json:"repository"`
}

// commentEvent is the payload of com.github.issue_comment.*.
type commentEvent struct {
	Issue      issue      `json:"issue"`
	Repository repository `json:"repository"`
	Comment    struct {
		Body string `json:"body"`
	} `json:"comment"`
}

// pullRequestEvent is the payload of com.github.pull_request.*.
type pullRequestEvent struct {
	PullRequest issue      `json:"pull_request"`
	Repository  repository `json:"repository"`
}

// pushEvent is the payload of com.github.push.
type pushEvent struct {
	Ref        string     `json:"ref"`
	Repository repository `json:"repository"`
	Commits    []struct {
		ID string `json:"id"`
	} `json:"commits"`
}

type issue struct {
	Number int    `json:"number"`
	Title  string `json:"title"`
}

type repository struct {
	FullName string `json:"full_name"`
}
