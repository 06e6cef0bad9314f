package main

import (
	"context"
	"fmt"
	"sync"

	"github.com/leatgo/leat"
)

// issueDesk keeps an overview of the issues, with one typed handler for each type that it wants.
// The router skips the other types.
type issueDesk struct {
	*leat.Router

	types map[string]bool

	mu       sync.Mutex
	issues   map[string]string // title by repository and number
	changes  int
	comments int
	pulls    int
	pushes   int
	commits  int
}

func newIssueDesk(topic string) *issueDesk {
	d := &issueDesk{types: map[string]bool{}, issues: map[string]string{}}
	routes := make([]leat.Route, 0, len(issueActions)+3)
	for _, action := range issueActions {
		contract := leat.EventType[issueEvent]{Name: issueTypePrefix + action, Topic: topic}
		routes = append(routes, contract.Handler(d.issueChanged))
	}
	routes = append(routes,
		leat.EventType[commentEvent]{Name: commentType, Topic: topic}.Handler(d.commented),
		leat.EventType[pullRequestEvent]{Name: pullRequestType, Topic: topic}.Handler(d.pullRequestOpened),
		leat.EventType[pushEvent]{Name: pushType, Topic: topic}.Handler(d.pushed))
	for _, r := range routes {
		d.types[r.Type] = true
	}
	d.Router = leat.NewRouter(routes...)
	return d
}

func (d *issueDesk) wants(eventType string) bool { return d.types[eventType] }

func (d *issueDesk) issueChanged(_ context.Context, _ leat.Event, p issueEvent) error {
	if p.Issue.Number == 0 {
		return leat.Reject(fmt.Errorf("issue %s without a number", p.Action)) // no attempt will find one
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.changes++
	d.issues[fmt.Sprintf("%s#%d", p.Repository.FullName, p.Issue.Number)] = p.Issue.Title
	return nil
}

func (d *issueDesk) commented(_ context.Context, _ leat.Event, _ commentEvent) error {
	return d.count(&d.comments, 1)
}

func (d *issueDesk) pullRequestOpened(_ context.Context, _ leat.Event, _ pullRequestEvent) error {
	return d.count(&d.pulls, 1)
}

func (d *issueDesk) pushed(_ context.Context, _ leat.Event, p pushEvent) error {
	if err := d.count(&d.commits, len(p.Commits)); err != nil {
		return err
	}
	return d.count(&d.pushes, 1)
}

func (d *issueDesk) count(counter *int, n int) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	*counter += n
	return nil
}

func (d *issueDesk) summary() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return fmt.Sprintf("issues known: %d; changes of them: %d, comments: %d, pull requests opened: %d, pushes: %d, commits: %d",
		len(d.issues), d.changes, d.comments, d.pulls, d.pushes, d.commits)
}
