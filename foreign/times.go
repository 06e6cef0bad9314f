package foreign

import (
	"strconv"
	"strings"
	"time"
)

// What leatrepaired says about a time.
const (
	timeSeconds = "seconds since 1970"
	timeMillis  = "milliseconds since 1970"
	timeNoZone  = "no zone, taken as UTC"
	timeForm    = "not in the form of RFC 3339"
)

// mendTime writes the time as RFC 3339 does.
func mendTime(r *repair) error {
	a := r.get(attrTime)
	if a == nil {
		return nil
	}
	text, rule := a.text, ""
	for _, read := range []func(string) (string, string){sinceEpoch, isoTime, mailTime} {
		if text, rule = read(a.text); rule != "" {
			break
		}
	}
	switch {
	case rule == "":
		return nil // decoding says what is wrong with it, or nothing
	case text == a.text:
		return nil
	}
	r.notes.add(attrTime, rule, a.text)
	a.set(text)
	return nil
}

// sinceEpoch reads seconds since 1970, which may have a fraction as spring-kafka writes them, and
// milliseconds. Of integers, those below 100,000,000 (1973) are not taken for a time, and those
// from 100,000,000,000 on are milliseconds: as seconds they are the year 5138.
func sinceEpoch(s string) (text, rule string) {
	const first, firstMillis, most = 1e8, 1e11, 1e14
	whole, fraction, isSeconds := strings.Cut(s, ".")
	n, err := strconv.ParseInt(whole, 10, 64)
	if err != nil || n < 0 || whole[0] == '+' || !allDigits(fraction) || len(fraction) > 9 || isSeconds && fraction == "" {
		return "", ""
	}
	switch {
	case isSeconds && n < firstMillis:
		nsec, _ := strconv.ParseInt((fraction + "000000000")[:9], 10, 64)
		return time.Unix(n, nsec).UTC().Format(time.RFC3339Nano), timeSeconds
	case !isSeconds && n >= first && n < firstMillis:
		return time.Unix(n, 0).UTC().Format(time.RFC3339Nano), timeSeconds
	case !isSeconds && n >= firstMillis && n < most:
		return time.UnixMilli(n).UTC().Format(time.RFC3339Nano), timeMillis
	}
	return "", ""
}

// isoTime reads the forms of ISO 8601 that RFC 3339 leaves out: without seconds as Java's
// OffsetDateTime writes them, without a zone as Python and .NET do, with a space for the T, a comma
// before the fraction, and a zone of another form.
func isoTime(s string) (text, rule string) {
	const minutes = "2006-01-02T15:04"
	if len(s) < len(minutes) || s[4] != '-' || s[7] != '-' || s[13] != ':' || !strings.ContainsRune("Tt ", rune(s[10])) {
		return "", ""
	}
	day, clock, rest := s[:10], s[11:16], s[16:]
	seconds := ":00"
	if strings.HasPrefix(rest, ":") {
		if len(rest) < 3 || !allDigits(rest[1:3]) {
			return "", ""
		}
		seconds, rest = rest[:3], rest[3:]
	}
	fraction := ""
	if rest != "" && (rest[0] == '.' || rest[0] == ',') {
		n := 1
		for n < len(rest) && isDigit(rest[n]) {
			n++
		}
		fraction, rest = "."+rest[1:n], rest[n:]
	}
	wall, err := time.Parse("2006-01-02T15:04:05", day+"T"+clock+seconds)
	if err != nil || len(fraction) == 1 {
		return "", ""
	}
	rule = timeForm
	offset, ok := zoneOffset(rest, wall)
	if strings.TrimSpace(rest) == "" {
		offset, rule, ok = "Z", timeNoZone, true
	}
	if !ok {
		return "", ""
	}
	if strings.EqualFold(s, day+"T"+clock+seconds+fraction+offset) {
		return s, rule // it is RFC 3339
	}
	return day + "T" + clock + seconds + fraction + offset, rule
}

// mailTime reads the dates of HTTP and mail, "Thu, 28 Nov 2024 10:15:30 GMT", and of Java's Date,
// "Thu Nov 28 10:15:30 GMT 2024".
func mailTime(s string) (text, rule string) {
	f := strings.Fields(s)
	if len(f) != 6 {
		return "", ""
	}
	wall, err := time.Parse("Mon, 2 Jan 2006 15:04:05", strings.Join(f[:5], " "))
	zone := f[5]
	if err != nil {
		wall, err = time.Parse("Mon Jan 2 15:04:05 2006", strings.Join([]string{f[0], f[1], f[2], f[3], f[5]}, " "))
		zone = f[4]
	}
	if err != nil {
		return "", ""
	}
	offset, ok := zoneOffset(zone, wall)
	if !ok {
		return "", ""
	}
	return wall.Format("2006-01-02T15:04:05") + offset, timeForm
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func allDigits(s string) bool {
	for i := range len(s) {
		if !isDigit(s[i]) {
			return false
		}
	}
	return true
}
