package message

import (
	"strconv"
	"strings"
	"time"
)

// ParseDate reads a Date field (RFC 5322 3.3 and 4.3) in the zone it was written in, so
// that its Date() is the day "as written" that SENTON and its like compare. The day of
// the week is not looked at, seconds and the zone may be missing.
func ParseDate(s string) (t time.Time, ok bool) {
	fields := dateFields(s)
	if len(fields) > 0 && !isDigits(fields[0]) {
		fields = fields[1:] // day of the week
	}
	if len(fields) < 3 {
		return time.Time{}, false
	}
	day, err1 := strconv.Atoi(fields[0])
	month := monthNumber(fields[1])
	year, err2 := parseYear(fields[2])
	if err1 != nil || err2 != nil || month == 0 || day < 1 || day > 31 {
		return time.Time{}, false
	}
	var hour, minute, second int
	zone := time.UTC
	if len(fields) > 3 {
		if hour, minute, second, ok = parseClock(fields[3]); !ok {
			return time.Time{}, false
		}
	}
	if len(fields) > 4 {
		zone = parseZone(fields[4])
	}
	t = time.Date(year, month, day, hour, minute, second, 0, zone)
	if t.Day() != day { // 31 February
		return time.Time{}, false
	}
	return t, true
}

// dateFields splits at blanks, commas, comments, and dashes as in "1-Feb-2026". At most
// the first eight fields mean anything.
func dateFields(s string) []string {
	var fields []string
	l := lexer{s: s}
	for l.cfws(); !l.end() && len(fields) < 8; l.cfws() {
		field := l.while(func(c byte) bool { return !isWSP(c) && c != ',' && c != '(' && c != '\r' && c != '\n' })
		if field == "" {
			l.i++
			continue
		}
		if parts := strings.Split(field, "-"); len(fields) < 2 && len(parts) == 3 {
			fields = append(fields, parts...)
			continue
		}
		fields = append(fields, field)
	}
	return fields
}

func isDigits(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

func monthNumber(s string) time.Month {
	if len(s) < 3 {
		return 0
	}
	const months = "janfebmaraprmayjunjulaugsepoctnovdec"
	i := strings.Index(months, strings.ToLower(s[:3]))
	if i < 0 || i%3 != 0 {
		return 0
	}
	return time.Month(i/3 + 1)
}

// parseYear: RFC 5322 4.3 says what years of two and three digits mean.
func parseYear(s string) (int, error) {
	year, err := strconv.ParseUint(s, 10, 14)
	switch {
	case err != nil:
		return 0, err
	case len(s) == 2 && year < 50:
		year += 2000
	case len(s) <= 3:
		year += 1900
	}
	return int(year), nil
}

// parseClock reads "10:11", "10:11:12" or, as some write it, "10.11.12".
func parseClock(s string) (hour, minute, second int, ok bool) {
	parts := strings.FieldsFunc(s, func(r rune) bool { return r == ':' || r == '.' })
	if len(parts) < 2 || len(parts) > 4 {
		return 0, 0, 0, false
	}
	var n [4]int
	for i, part := range parts {
		v, err := strconv.ParseUint(part, 10, 30)
		if err != nil {
			return 0, 0, 0, false
		}
		n[i] = int(v)
	}
	if n[0] > 23 || n[1] > 59 || n[2] > 60 {
		return 0, 0, 0, false
	}
	return n[0], n[1], min(n[2], 59), true // a leap second is not the next day
}

// parseZone reads "+0100" or one of the obsolete names; others mean UTC (RFC 5322 4.3).
func parseZone(s string) *time.Location {
	if len(s) == 5 && (s[0] == '+' || s[0] == '-') && isDigits(s[1:]) {
		n, _ := strconv.Atoi(s[1:])
		seconds := n/100*3600 + n%100*60
		if s[0] == '-' {
			seconds = -seconds
		}
		return time.FixedZone("", seconds)
	}
	hours := map[string]int{"EDT": -4, "EST": -5, "CDT": -5, "CST": -6, "MDT": -6, "MST": -7, "PDT": -7, "PST": -8}
	if h, ok := hours[strings.ToUpper(s)]; ok {
		return time.FixedZone("", h*3600)
	}
	return time.UTC
}
