package wire

import (
	"strings"
	"time"
)

// Date reads a date, "1-Feb-2026", quoted or not. It is returned as midnight UTC.
func (d *Decoder) Date() time.Time {
	text := d.AString()
	if d.err != nil {
		return time.Time{}
	}
	t, err := time.Parse("2-Jan-2006", titleMonth(text))
	if err != nil {
		d.Fail("not a date")
	}
	return t
}

// DateTime reads a date-time, `"01-Feb-2026 10:00:00 +0100"`.
func (d *Decoder) DateTime() time.Time {
	text := d.quoted()
	if d.err != nil {
		return time.Time{}
	}
	// The day has two places, the first of which may be a space.
	t, err := time.Parse("2-Jan-2006 15:04:05 -0700", titleMonth(strings.TrimLeft(text, " ")))
	if err != nil {
		d.Fail("not a date and time")
	}
	return t
}

// titleMonth writes a month's name as time.Parse wants it: IMAP doesn't look at case.
func titleMonth(s string) string {
	i := strings.IndexByte(s, '-') + 1
	if i == 0 || len(s) < i+3 {
		return s
	}
	return s[:i] + strings.ToUpper(s[i:i+1]) + strings.ToLower(s[i+1:i+3]) + s[i+3:]
}

// AppendDateTime appends an INTERNALDATE in quotes.
func AppendDateTime(b []byte, t time.Time) []byte {
	year, month, day := t.Date()
	hour, minute, second := t.Clock()
	_, zone := t.Zone()
	sign := byte('+')
	if zone < 0 {
		sign, zone = '-', -zone
	}
	b = append(appendPadded(append(b, '"'), day, 2), '-')
	b = append(append(b, month.String()[:3]...), '-')
	b = append(appendPadded(b, year, 4), ' ')
	b = append(appendPadded(b, hour, 2), ':')
	b = append(appendPadded(b, minute, 2), ':')
	b = append(appendPadded(b, second, 2), ' ', sign)
	return append(appendPadded(b, zone/3600*100+zone/60%60, 4), '"')
}

// appendPadded appends the last digits of n. (time.Format reads its layout anew each time,
// which costs more than the rest of a FETCH of flags.)
func appendPadded(b []byte, n, digits int) []byte {
	b = append(b, "0000"[:digits]...)
	for i := len(b) - 1; i >= len(b)-digits; i-- {
		b[i] = byte('0' + n%10)
		n /= 10
	}
	return b
}
