// Package deliveries has webhooks as GitHub sent them, for the examples: one file for each, by the
// name of the event that its folder has. LICENSE says where they are from.
package deliveries

import "embed"

// Files are the deliveries, as <event>/<name>.json.
//
//go:embed */*.json
var Files embed.FS
