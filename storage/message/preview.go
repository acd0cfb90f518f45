package message

import (
	"io"
	"strings"
	"unicode"
	"unicode/utf8"
)

// RFC 8970 4: a preview should have at most 200 characters.
const (
	previewLength = 200
	previewRead   = 16 << 10 // octets of text looked at for it
	previewTries  = 3        // parts looked at
)

// previewOf makes the preview text of the message r: the beginning of its first text
// that says something, without quotes of other mail and their introductions.
func previewOf(r io.ReaderAt, root *Part) (string, error) {
	var parts []*Part
	root.previewParts(&parts)
	for _, p := range parts {
		var text strings.Builder
		t := textWriter{w: &text, left: previewRead}
		p.ownText(&t, r)
		if t.flush(); t.err != nil {
			return "", t.err
		}
		if s := previewText(text.String()); s != "" {
			return s, nil
		}
	}
	return "", nil
}

// previewParts collects the text parts that a reader sees first. Of alternatives,
// plain text comes before HTML.
func (p *Part) previewParts(parts *[]*Part) {
	if len(*parts) >= previewTries || asciiEqualFold(p.Disposition, "attachment") {
		return
	}
	if p.IsText() && (asciiEqualFold(p.Subtype, "plain") || asciiEqualFold(p.Subtype, "html")) {
		*parts = append(*parts, p)
	}
	for i := range p.Parts {
		p.Parts[i].previewParts(parts)
	}
}

// previewText takes the first characters of text in one line. Quoted lines are left
// out, unless there is nothing else.
func previewText(text string) string {
	text = strings.TrimPrefix(text, "\ufeff")
	if s := joinLines(text, true); s != "" {
		return s
	}
	return joinLines(text, false)
}

func joinLines(text string, skipQuotes bool) string {
	var out strings.Builder
	n := 0
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		line = strings.TrimSpace(line)
		if line == "--" { // RFC 3676 4.3: the signature follows
			break
		}
		if skipQuotes && (strings.HasPrefix(line, ">") || strings.HasSuffix(line, ":") && quoteFollows(lines[i+1:])) {
			continue
		}
		for word := range strings.FieldsFuncSeq(line, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }) {
			if isRule(word) {
				continue
			}
			length := utf8.RuneCountInString(word)
			if n > 0 {
				length++
			}
			if n+length > previewLength {
				if n == 0 {
					out.WriteString(string([]rune(word)[:previewLength]))
				}
				return out.String()
			}
			if n > 0 {
				out.WriteByte(' ')
			}
			out.WriteString(word)
			n += length
		}
	}
	return out.String()
}

// quoteFollows reports whether the next line with text in it is a quoted one: then the
// line before was "On ... wrote:" in some language.
func quoteFollows(lines []string) bool {
	for _, line := range lines[:min(len(lines), 3)] {
		if line = strings.TrimSpace(line); line != "" {
			return strings.HasPrefix(line, ">")
		}
	}
	return false
}

// isRule recognises a run of dashes, stars and the like, which people draw lines with.
func isRule(word string) bool {
	return len(word) > 3 && strings.Trim(word, "-=_*#~+.") == ""
}
