package wire

import "strings"

// Flag reads a flag or keyword, "\Seen" or "$Forwarded", as it was written.
func (d *Decoder) Flag() string {
	if d.Take('\\') {
		return `\` + d.Atom()
	}
	// RFC 3501's grammar makes a keyword an atom; "]" in one is tolerated, as Dovecot does.
	return d.run(isAStringChar, "a flag")
}

// Flags reads a list of flags in parentheses.
func (d *Decoder) Flags() []string {
	var flags []string
	d.List(func() { flags = append(flags, d.Flag()) })
	return flags
}

// IsKeyword reports whether s may be kept as a keyword: an atom of bounded length.
func IsKeyword(s string) bool {
	return s != "" && len(s) <= 128 && strings.IndexFunc(s, func(r rune) bool {
		return r >= 0x7f || !isAStringChar(byte(r))
	}) < 0
}
