package sender

import (
	"errors"
	"fmt"
	"strings"
)

// tag is one name=value of a tag list.
type tag struct {
	name, value string // value without blanks around it
	start, end  int    // of the value with the blanks around it, in the text
}

// tagList is a tag list (RFC 6376 3.2), as DKIM signatures, key records, DMARC records and ARC fields have.
type tagList []tag

var errTagList = errors.New("malformed tag list")

// parseTags reads a tag list in linear time. A name that comes twice, or a control character, spoils
// the list as a whole; an empty spec between two semicolons doesn't.
func parseTags(text string) (tagList, error) {
	var tags tagList
	seen := make(map[string]bool)
	for start := 0; start < len(text); {
		end := len(text)
		if i := strings.IndexByte(text[start:], ';'); i >= 0 {
			end = start + i
		}
		spec := text[start:end]
		if strings.Trim(spec, fws) != "" {
			t, err := parseTag(spec, start)
			if err != nil {
				return nil, err
			}
			if seen[t.name] {
				return nil, fmt.Errorf("%w: %s= comes twice", errTagList, t.name)
			}
			seen[t.name] = true
			tags = append(tags, t)
		}
		start = end + 1
	}
	return tags, nil
}

// fws is what counts as a blank in a tag list.
const fws = " \t\r\n"

func parseTag(spec string, offset int) (tag, error) {
	eq := strings.IndexByte(spec, '=')
	if eq < 0 {
		return tag{}, fmt.Errorf("%w: no = in %.40q", errTagList, spec)
	}
	name := strings.Trim(spec[:eq], fws)
	if !isTagName(name) {
		return tag{}, fmt.Errorf("%w: %.40q is no name", errTagList, name)
	}
	value := strings.Trim(spec[eq+1:], fws)
	for i := 0; i < len(value); i++ {
		if c := value[i]; c < ' ' && c != '\t' && c != '\r' && c != '\n' || c == 0x7f {
			return tag{}, fmt.Errorf("%w: a control character in %s=", errTagList, name)
		}
	}
	return tag{name: name, value: value, start: offset + eq + 1, end: offset + len(spec)}, nil
}

// isTagName: RFC 6376 3.2, ALPHA *(ALPHA / DIGIT / "_").
func isTagName(s string) bool {
	for i := 0; i < len(s); i++ {
		if c := s[i]; !isAlpha(c) && (i == 0 || !isDigit(c) && c != '_') {
			return false
		}
	}
	return s != ""
}

func (l tagList) get(name string) (tag, bool) {
	for _, t := range l {
		if t.name == name {
			return t, true
		}
	}
	return tag{}, false
}

// value is the value of a tag, empty when there is none.
func (l tagList) value(name string) string {
	t, _ := l.get(name)
	return t.value
}

// stripWSP removes all blanks, as base64 values may hold anywhere.
func stripWSP(s string) string {
	if !strings.ContainsAny(s, fws) {
		return s
	}
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if strings.IndexByte(fws, s[i]) < 0 {
			out = append(out, s[i])
		}
	}
	return string(out)
}

// isLDHName reports whether s is a domain name, or a part of one, of letters, digits and hyphens
// only, that DNS can be asked for.
func isLDHName(s string) bool {
	if s == "" || len(s) > 253 {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for i := 0; i < len(label); i++ {
			if c := label[i]; !isAlpha(c) && !isDigit(c) && c != '-' {
				return false
			}
		}
	}
	return true
}

func isAlpha(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }
func isDigit(c byte) bool { return '0' <= c && c <= '9' }
