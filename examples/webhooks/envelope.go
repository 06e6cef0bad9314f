package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/leatgo/leat"
)

// envelope is what the payloads of GitHub's events have in common, each member in some of them.
type envelope struct {
	Action       string   `json:"action"`
	Ref          string   `json:"ref"`
	Repository   owner    `json:"repository"`
	Organization owner    `json:"organization"`
	Sender       owner    `json:"sender"`
	Issue        numbered `json:"issue"`
	PullRequest  numbered `json:"pull_request"`
	Discussion   numbered `json:"discussion"`
	Alert        numbered `json:"alert"`
	Milestone    numbered `json:"milestone"`
	Release      struct {
		TagName string `json:"tag_name"`
	} `json:"release"`
}

// owner is a repository, an organization or a user.
type owner struct {
	FullName string `json:"full_name"`
	Login    string `json:"login"`
	HTMLURL  string `json:"html_url"`
	URL      string `json:"url"`
}

type numbered struct {
	Number int `json:"number"`
}

// toEvent makes a CloudEvent of a delivery. The data is the payload, byte for byte; everything else
// is read from it.
func (d *delivery) toEvent() (leat.Event, error) {
	env, err := parseEnvelope(d.payload)
	if err != nil {
		return leat.Event{}, err
	}
	eventType := "com.github." + d.event
	if env.Action != "" {
		eventType += "." + env.Action
	}
	return leat.NewEvent(eventType, &leat.EventOptions{
		ID:              d.id, // tells in every listing which file it was
		Source:          env.source(),
		Subject:         env.subject(),
		Key:             env.key(),
		DataContentType: "application/json",
		Data:            d.payload,
	})
}

// parseEnvelope fails on what is not a JSON object. A member of an unexpected kind is left out:
// GitHub adds events, and what this program does not know about them must not keep them from the
// services.
func parseEnvelope(payload []byte) (*envelope, error) {
	if len(payload) == 0 {
		return nil, errors.New("the payload is empty")
	}
	env := &envelope{}
	err := json.Unmarshal(payload, env)
	if typeErr, ok := errors.AsType[*json.UnmarshalTypeError](err); ok && typeErr.Field != "" {
		err = nil
	}
	if err != nil {
		return nil, fmt.Errorf("the payload is not a JSON object: %w", err)
	}
	return env, nil
}

// key is the unit of order: the repository where there is one.
func (e *envelope) key() string {
	return cmp.Or(e.Repository.FullName, e.Organization.Login, e.Sender.Login)
}

// source is the address of what the event happened in; the producer's default stands in for an
// empty one.
func (e *envelope) source() string {
	for _, o := range []owner{e.Repository, e.Organization, e.Sender} {
		if url := cmp.Or(o.HTMLURL, o.URL); url != "" {
			return url
		}
	}
	return ""
}

// subject is what it happened to, within the source.
func (e *envelope) subject() string {
	for _, s := range []struct {
		name  string
		thing numbered
	}{
		{"pull", e.PullRequest}, {"issues", e.Issue}, {"discussions", e.Discussion}, {"alerts", e.Alert}, {"milestone", e.Milestone},
	} {
		if s.thing.Number > 0 {
			return fmt.Sprintf("%s/%d", s.name, s.thing.Number)
		}
	}
	if e.Release.TagName != "" {
		return "releases/" + e.Release.TagName
	}
	return e.Ref
}
