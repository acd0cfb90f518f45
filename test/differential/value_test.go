package differential

import (
	"strconv"
	"strings"
)

// value is one value of a FETCH response, normalized.
type value struct {
	text string
	list []value // of a parenthesized list
}

// parseValue reads one value off s. Between the parts of a multipart stands no blank.
func parseValue(s string) (v value, rest string) {
	if !strings.HasPrefix(s, "(") {
		end := strings.IndexAny(s, " ()")
		if strings.HasPrefix(s, `"`) {
			quoted, _ := strconv.QuotedPrefix(s)
			end = len(quoted)
		}
		if end < 0 {
			end = len(s)
		}
		return value{text: s[:end]}, s[end:]
	}
	rest = s[1:]
	for rest != "" && rest[0] != ')' {
		var child value
		child, rest = parseValue(rest)
		v.list = append(v.list, child)
		rest = strings.TrimPrefix(rest, " ")
	}
	rest = strings.TrimPrefix(rest, ")")
	v.text = s[:len(s)-len(rest)]
	return v, rest
}

// flat: it is a string, NIL, or a list of strings.
func flat(s string) bool {
	v, _ := parseValue(s)
	if len(v.list) == 0 {
		return s == "NIL" || s[0] == '"'
	}
	for _, child := range v.list {
		if child.text[0] != '"' {
			return false
		}
	}
	return true
}

// within: all members of one list are in the other, in the same order.
func within(less, more string) bool {
	a, _ := parseValue(less)
	b, _ := parseValue(more)
	for _, v := range b.list {
		if len(a.list) > 0 && a.list[0].text == v.text {
			a.list = a.list[1:]
		}
	}
	return len(a.list) == 0
}

func sameWithoutBlanks(a asked) bool {
	ours, theirs := strings.Trim(unquoted(a.ours), " \t"), strings.Trim(unquoted(a.theirs), " \t")
	return ours == theirs && (a.ours[0] == '"' || a.ours == "NIL") && a.theirs[0] == '"'
}

// unquoted is a string's text; of NIL, nothing.
func unquoted(s string) string {
	text, err := strconv.Unquote(s)
	if err != nil {
		return ""
	}
	return text
}
