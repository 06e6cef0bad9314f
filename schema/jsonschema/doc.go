// Package jsonschema reads, checks and compares JSON Schemas for package schema, in the drafts 4,
// 6, 7, 2019-09 and 2020-12. A schema without $schema is of draft 2020-12.
//
//	registry, err := schema.FromFS(files, jsonschema.Format{})
//
// The work of checking data is done by github.com/santhosh-tekuri/jsonschema. Here format is always
// a rule, which some drafts leave open, and a $ref reaches only the schemas that a
// [schema.Definition] refers to: no file is opened, and no address is fetched. Numbers are compared
// as float64, so that an integer beyond 2^53 is rounded for the check.
package jsonschema
