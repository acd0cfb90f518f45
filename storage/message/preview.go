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
	previewFirst  = 1 << 10  // octets of text looked at for it, which is enough for most
	previewRead   = 16 << 10 // and if it isn't
	previewTries  = 3        // parts looked at
)

// previewOf makes the preview text of the message r: the beginning of its first text
// that says something, without quotes of other mail and their introductions.
func previewOf(r io.ReaderAt, root *Part) (string, error) {
	var parts []*Part
	root.previewParts(&parts)
	for _, p := range parts {
		s, sure, err := p.preview(r, previewFirst)
		if err == nil && !sure {
			s, _, err = p.preview(r, previewRead)
		}
		if s != "" || err != nil {
			return s, err
		}
	}
	return "", nil
}

// preview makes the preview of a text part of at most limit octets of its text. With sure, more of them
// would make no difference.
func (p *Part) preview(r io.ReaderAt, limit int64) (s string, sure bool, err error) {
	var text strings.Builder
	t := textWriter{w: &text, left: limit}
	p.ownText(&t, r)
	if t.flush(); t.err != nil {
		return "", false, t.err
	}
	s, sure = previewText(text.String())
	return s, sure || t.left > 0 && p.Size() <= limit, nil
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
// out, unless there is nothing else. With sure, what follows text makes no difference.
func previewText(text string) (s string, sure bool) {
	text = strings.TrimPrefix(text, "\ufeff")
	if s, sure := joinLines(text, true); s != "" {
		return s, sure
	}
	s, _ = joinLines(text, false)
	return s, false
}

func joinLines(text string, skipQuotes bool) (s string, full bool) {
	var out strings.Builder
	n := 0
	for more := true; more; {
		var line string
		line, text, more = strings.Cut(text, "\n")
		line = strings.TrimSpace(line)
		if line == "--" { // RFC 3676 4.3: the signature follows
			break
		}
		if skipQuotes && (strings.HasPrefix(line, ">") || strings.HasSuffix(line, ":") && quoteFollows(text)) {
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
				return out.String(), strings.Count(text, "\n") >= introLines
			}
			if n > 0 {
				out.WriteByte(' ')
			}
			out.WriteString(word)
			n += length
		}
	}
	return out.String(), false
}

// introLines is how far below its introduction a quote may begin.
const introLines = 3

// quoteFollows reports whether the next line with text in it is a quoted one: then the
// line before was "On ... wrote:" in some language.
func quoteFollows(text string) bool {
	for range introLines {
		var line string
		line, text, _ = strings.Cut(text, "\n")
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
