package secrets

import "strings"

// WithoutUser cuts a text of RabbitMQ off before the name of a user, "access to vhost 'shop'
// refused for user 'ann'", and keeps what RabbitMQ adds behind it: "': connection limit (5) is
// reached".
func WithoutUser(reason string) string {
	for i := range reason {
		for _, who := range []string{" for user '", " user was '"} {
			after, found := strings.CutPrefix(reason[i:], who)
			if !found {
				continue
			}
			short := reason[:i] + strings.TrimSuffix(who, " '")
			if at := strings.LastIndex(after, "': "); at >= 0 && !strings.Contains(after[at+1:], "'") {
				short += after[at+1:]
			}
			return short
		}
	}
	return reason
}
