package message

import (
	"slices"
	"strconv"
	"strings"
)

// joinContinuations puts together the values of parameters that were split up (RFC
// 2231 3), "name*0" and "name*1*", and gives them after the others. The name ends
// with "*" when one of the pieces was encoded. Pieces without a beginning stay.
func joinContinuations(params []Param) []Param {
	if !slices.ContainsFunc(params, func(p Param) bool { _, _, _, ok := splitName(p.Name); return ok }) {
		return params
	}
	var out []Param
	pieces := map[string][]piece{}
	var names []string
	for _, p := range params {
		name, index, encoded, ok := splitName(p.Name)
		if !ok {
			out = append(out, p)
			continue
		}
		key := strings.ToLower(name)
		if pieces[key] == nil {
			names = append(names, key)
		}
		pieces[key] = append(pieces[key], piece{p, name, index, encoded})
	}
	for _, key := range names {
		out = append(out, join(pieces[key])...)
	}
	return out
}

type piece struct {
	Param
	base    string
	index   int
	encoded bool
}

func join(pieces []piece) []Param {
	slices.SortStableFunc(pieces, func(a, b piece) int { return a.index - b.index })
	n := 0
	encoded := false
	for n < len(pieces) && pieces[n].index == n {
		encoded = encoded || pieces[n].encoded
		n++
	}
	var out []Param
	if n > 0 {
		var value strings.Builder
		for _, p := range pieces[:n] {
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
		out = append(out, Param{name, value.String()})
	}
	for _, p := range pieces[n:] {
		out = append(out, p.Param)
	}
	return out
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
