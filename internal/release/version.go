package main

import (
	"fmt"
	"regexp"
)

// versions are those of Semantic Versioning as the go command takes them for a path without a major
// version: v0 and v1, no build metadata.
var versions = regexp.MustCompile(`^v[01]\.(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)` +
	`(-(0|[1-9][0-9]*|[0-9]*[A-Za-z-][0-9A-Za-z-]*)(\.(0|[1-9][0-9]*|[0-9]*[A-Za-z-][0-9A-Za-z-]*))*)?$`)

// pseudo matches the end of a pseudo-version, which the go command takes for a commit and not for a
// tag.
var pseudo = regexp.MustCompile(`[-.][0-9]{14}-[0-9a-f]{12}$`)

// checkVersion returns an error unless v can be the version of a release.
func checkVersion(v string) error {
	if !versions.MatchString(v) || pseudo.MatchString(v) {
		return fmt.Errorf("%q is not a version of a release; write one such as v0.1.0 or v0.1.0-rc.1, of major version 0 or 1", v)
	}
	return nil
}
