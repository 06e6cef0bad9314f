package attribute

import "time"

// ParseTime reads an RFC 3339 timestamp. Unlike time.Parse it takes lower-case t and z and the leap
// second :60, which RFC 3339 §5.6 allows, and nothing that it does not.
func ParseTime(s string) (time.Time, bool) {
	var d date
	if !d.parse(s) {
		return time.Time{}, false
	}
	zone := time.UTC
	if !d.utc {
		zone = time.FixedZone("", d.offset)
	}
	return time.Date(d.year, time.Month(d.month), d.day, d.hour, d.minute, d.second, d.nanosecond, zone), true
}

// ValidTime reports whether ParseTime takes s.
func ValidTime(s string) bool {
	var d date
	return d.parse(s)
}

// date is what a timestamp says.
type date struct {
	year, month, day, hour, minute, second, nanosecond int

	utc    bool // written as Z
	offset int  // in seconds
}

func (d *date) parse(s string) bool {
	if len(s) < len("2006-01-02T15:04:05Z") || s[4] != '-' || s[7] != '-' || s[10]|0x20 != 't' || s[13] != ':' || s[16] != ':' {
		return false
	}
	year, ok1 := digits(s[0:4])
	month, ok2 := digits(s[5:7])
	day, ok3 := digits(s[8:10])
	hour, ok4 := digits(s[11:13])
	minute, ok5 := digits(s[14:16])
	sec, ok6 := digits(s[17:19])
	if !ok1 || !ok2 || !ok3 || !ok4 || !ok5 || !ok6 {
		return false
	}
	if month < 1 || month > 12 || day < 1 || day > daysIn(year, month) || hour > 23 || minute > 59 || sec > 60 {
		return false
	}
	d.year, d.month, d.day, d.hour, d.minute, d.second = year, month, day, hour, minute, sec
	rest := s[19:]
	if rest[0] == '.' {
		i, scale := 1, 100_000_000
		for ; i < len(rest) && isClass(rest[i], classDigit); i++ {
			d.nanosecond += int(rest[i]-'0') * scale
			scale /= 10
		}
		if i == 1 {
			return false
		}
		rest = rest[i:]
	}
	return d.zone(rest)
}

// zone reads the zone, and reports whether it is one.
func (d *date) zone(s string) bool {
	if s == "Z" || s == "z" {
		d.utc = true
		return true
	}
	if len(s) != len("+00:00") || s[0] != '+' && s[0] != '-' || s[3] != ':' {
		return false
	}
	hour, ok1 := digits(s[1:3])
	minute, ok2 := digits(s[4:6])
	if !ok1 || !ok2 || hour > 23 || minute > 59 {
		return false
	}
	if d.offset = (hour*60 + minute) * 60; s[0] == '-' {
		d.offset = -d.offset
	}
	return true
}

func digits(s string) (n int, ok bool) {
	for i := range len(s) {
		if !isClass(s[i], classDigit) {
			return 0, false
		}
		n = n*10 + int(s[i]-'0')
	}
	return n, true
}

func daysIn(year, month int) int {
	switch month {
	case 4, 6, 9, 11:
		return 30
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	}
	return 31
}

// AppendTime appends t in the form of RFC 3339 with as many digits as it has. A zone that is not
// whole minutes, which RFC 3339 cannot write, becomes UTC. It reports false for a year that has not
// four digits.
func AppendTime(dst []byte, t time.Time) ([]byte, bool) {
	if _, offset := t.Zone(); offset%60 != 0 || offset <= -24*3600 || offset >= 24*3600 {
		t = t.UTC()
	}
	if y := t.Year(); y < 0 || y > 9999 {
		return dst, false
	}
	return t.AppendFormat(dst, time.RFC3339Nano), true
}
