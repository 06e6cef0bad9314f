package foreign

import (
	"strings"
	"time"
)

// zoneOffset returns the offset that a zone has in RFC 3339: of Z, GMT, UTC, an offset of another
// form such as +0100 or GMT+1, an offset with a name in brackets as Java's ZonedDateTime writes it,
// the abbreviations of RFC 822, and a name such as Europe/Berlin where the machine has the database
// of zones. wall is the local time. A time that the zone has twice or not at all has no offset.
func zoneOffset(zone string, wall time.Time) (string, bool) {
	zone = strings.TrimSpace(zone)
	if before, after, ok := strings.Cut(zone, "["); ok {
		name, closed := strings.CutSuffix(after, "]")
		switch {
		case !closed || name == "" || strings.Contains(name, "["):
			return "", false
		case strings.TrimSpace(before) == "":
			return zoneOffset(name, wall)
		}
		zone = strings.TrimSpace(before) // the offset says all; the name is its reason
	}
	upper := strings.ToUpper(zone)
	if offset := abbreviation(upper); offset != "" {
		return offset, true
	}
	if strings.Contains(zone, "/") {
		return namedOffset(zone, wall)
	}
	return signedOffset(strings.TrimPrefix(strings.TrimPrefix(upper, "UTC"), "GMT"))
}

// abbreviation returns the offset of a zone by RFC 822. Other abbreviations have more than one
// meaning.
func abbreviation(zone string) string {
	switch zone {
	case "Z", "GMT", "UTC", "UT":
		return "Z"
	case "EDT":
		return "-04:00"
	case "EST", "CDT":
		return "-05:00"
	case "CST", "MDT":
		return "-06:00"
	case "MST", "PDT":
		return "-07:00"
	case "PST":
		return "-08:00"
	}
	return ""
}

// signedOffset returns +h, +hh, +hhmm, +h:mm and +hh:mm as the last of them.
func signedOffset(s string) (string, bool) {
	if len(s) < 2 || s[0] != '+' && s[0] != '-' {
		return "", false
	}
	hour, minute, colon := strings.Cut(s[1:], ":")
	if !colon && len(hour) == 4 {
		hour, minute, colon = hour[:2], hour[2:], true
	}
	if !colon {
		minute = "00"
	}
	if len(hour) == 1 {
		hour = "0" + hour
	}
	if len(hour) != 2 || len(minute) != 2 || !allDigits(hour) || !allDigits(minute) {
		return "", false
	}
	return s[:1] + hour + ":" + minute, true
}

// namedOffset returns the offset that a zone of the database has at a local time.
func namedOffset(name string, wall time.Time) (string, bool) {
	zone, err := time.LoadLocation(name)
	if err != nil {
		return "", false
	}
	const form = "2006-01-02T15:04:05"
	var found []string
	for _, near := range []time.Time{wall.Add(-36 * time.Hour), wall.Add(36 * time.Hour)} { // before and after a change of the offset
		_, seconds := near.In(zone).Zone()
		at := wall.Add(-time.Duration(seconds) * time.Second).In(zone)
		offset := at.Format("Z07:00")
		if at.Format(form) == wall.Format(form) && (len(found) == 0 || found[0] != offset) {
			found = append(found, offset)
		}
	}
	if len(found) != 1 {
		return "", false
	}
	return found[0], true
}
