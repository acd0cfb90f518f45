package message

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// joinContinuations puts together the values of parameters that were split up (RFC
// 2231 3), "name*0" and "name*1*". The name ends with "*" when one of the pieces was
// encoded. Where a piece is missing all stay as they are. As with Dovecot, parameters in
// RFC 2231's form come after the others, by name as written.
func joinContinuations(params []Param) []Param {
	extended := func(p Param) bool { return strings.IndexByte(p.Name, '*') > 0 }
	if !slices.ContainsFunc(params, extended) {
		return params
	}
	var out []Param
	var pieces []piece
	for _, p := range params {
		if extended(p) {
			pieces = append(pieces, newPiece(p))
		} else {
			out = append(out, p)
		}
	}
	slices.SortStableFunc(pieces, func(a, b piece) int {
		return cmp.Or(cmp.Compare(a.key, b.key), cmp.Compare(a.index, b.index))
	})
	var groups [][]piece
	for len(pieces) > 0 {
		n := 1
		for n < len(pieces) && pieces[n].key == pieces[0].key {
			n++
		}
		groups = append(groups, pieces[:n])
		pieces = pieces[n:]
	}
	slices.SortStableFunc(groups, func(a, b []piece) int { return cmp.Compare(a[0].base, b[0].base) })
	for _, group := range groups {
		out = append(out, join(group)...)
	}
	return out
}

// piece is a parameter whose name holds a "*".
type piece struct {
	Param
	base, key string // name without the index, as written and in lower case
	index     int    // -1: none
	encoded   bool
}

func newPiece(p Param) piece {
	base, index, encoded, ok := splitName(p.Name)
	if !ok {
		return piece{p, p.Name, strings.ToLower(p.Name), -1, false}
	}
	return piece{p, base, strings.ToLower(base), index, encoded}
}

// join puts the pieces of one name, sorted by index, together if they are 0, 1, 2, ...
func join(pieces []piece) []Param {
	encoded := false
	complete := true
	for i, p := range pieces {
		encoded = encoded || p.encoded
		complete = complete && p.index == i
	}
	var out []Param
	if !complete {
		for _, p := range pieces {
			out = append(out, p.Param)
		}
		return out
	}
	var value strings.Builder
	for _, p := range pieces {
		if encoded && !p.encoded {
			value.WriteString(percentEncode(p.Value))
		} else {
			value.WriteString(p.Value)
		}
	}
	name := pieces[0].base
	if encoded {
		name += "*"
	}
	return []Param{{name, value.String()}}
}

// splitName takes "name*12*" apart; ok is false when there is no index in it.
func splitName(s string) (name string, index int, encoded, ok bool) {
	name, rest, found := strings.Cut(s, "*")
	if !found || rest == "" || name == "" {
		return "", 0, false, false
	}
	rest, encoded = strings.CutSuffix(rest, "*")
	index, err := strconv.Atoi(rest)
	if err != nil || index < 0 || len(rest) > 4 || len(rest) > 1 && rest[0] == '0' {
		return "", 0, false, false
	}
	return name, index, encoded, true
}

// percentEncode writes what is no attribute-char (RFC 2231 7) as %XX.
func percentEncode(s string) string {
	var out strings.Builder
	for i := 0; i < len(s); i++ {
		if c := s[i]; isTokenChar(c) && c < 0x80 && strings.IndexByte("*'%", c) < 0 {
			out.WriteByte(c)
		} else {
			out.WriteByte('%')
			out.WriteByte("0123456789ABCDEF"[c>>4])
			out.WriteByte("0123456789ABCDEF"[c&15])
		}
	}
	return out.String()
}

// DecodeParam returns the value of the parameter name as people read it: its form
// "name*" (RFC 2231 4) decoded if there is one, else the plain one as it is.
func DecodeParam(params []Param, name string) string {
	plain := ""
	found := false
	for _, p := range params {
		if base, ok := strings.CutSuffix(p.Name, "*"); ok && asciiEqualFold(base, name) {
			return decodeExtended(p.Value)
		}
		if !found && asciiEqualFold(p.Name, name) {
			plain, found = p.Value, true
		}
	}
	return plain
}

// decodeExtended reads charset'language'percent-encoded.
func decodeExtended(s string) string {
	parts := strings.SplitN(s, "'", 3)
	if len(parts) < 3 {
		return s
	}
	text := parts[2]
	out := make([]byte, 0, len(text))
	for i := 0; i < len(text); i++ {
		if text[i] == '%' && i+2 < len(text) {
			if c, ok := unhex(text[i+1], text[i+2]); ok {
				out = append(out, c)
				i += 2
				continue
			}
		}
		out = append(out, text[i])
	}
	return decodeCharset(parts[0], out)
}

func unhex(a, b byte) (byte, bool) {
	hi, ok1 := hexDigit(a)
	lo, ok2 := hexDigit(b)
	return hi<<4 | lo, ok1 && ok2
}

func hexDigit(c byte) (byte, bool) {
	switch {
	case '0' <= c && c <= '9':
		return c - '0', true
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10, true
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}
