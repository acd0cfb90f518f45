package message

import (
	"io"
	"strings"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// maxHTMLToken bounds one tag, comment or run of text of an HTML part.
const maxHTMLToken = 1 << 20

// htmlText writes what a person sees of the HTML that r gives to out, at most limit
// octets of it: no tags, no styles and scripts, a line end where a block ends.
func htmlText(out *strings.Builder, r io.Reader, limit int) error {
	z := html.NewTokenizer(r)
	z.SetMaxBuf(maxHTMLToken)
	hidden := atom.Atom(0) // the element whose content nobody sees
	for out.Len() < limit {
		switch z.Next() {
		case html.ErrorToken:
			if err := z.Err(); err != io.EOF && err != html.ErrBufferExceeded {
				return err
			}
			return nil
		case html.TextToken:
			if hidden == 0 {
				writeWords(out, z.Text(), limit)
			}
		case html.StartTagToken, html.SelfClosingTagToken:
			name, _ := z.TagName()
			a := atom.Lookup(name)
			if hidden == 0 && (a == atom.Style || a == atom.Script || a == atom.Title || a == atom.Template) {
				hidden = a
			}
			if breaksLine(a) {
				newLine(out)
			}
		case html.EndTagToken:
			name, _ := z.TagName()
			a := atom.Lookup(name)
			if a == hidden {
				hidden = 0
			}
			if breaksLine(a) {
				newLine(out)
			}
		}
	}
	return nil
}

// breaksLine reports whether text before and after such a tag stands on different
// lines; of table cells too, so that their words don't run together.
func breaksLine(a atom.Atom) bool {
	switch a {
	case atom.P, atom.Br, atom.Div, atom.Li, atom.Tr, atom.Td, atom.Th, atom.Table, atom.Ul, atom.Ol,
		atom.H1, atom.H2, atom.H3, atom.H4, atom.H5, atom.H6, atom.Blockquote, atom.Hr, atom.Pre,
		atom.Section, atom.Article, atom.Header, atom.Footer, atom.Dt, atom.Dd, atom.Option:
		return true
	}
	return false
}

func newLine(out *strings.Builder) {
	if s := out.String(); s != "" && s[len(s)-1] != '\n' {
		out.WriteByte('\n')
	}
}

// writeWords writes text with every run of white space made one blank.
func writeWords(out *strings.Builder, text []byte, limit int) {
	for _, r := range string(text) {
		if out.Len() >= limit {
			return
		}
		switch r {
		case ' ', '\t', '\r', '\n', '\f', '\u00a0':
			if s := out.String(); s != "" && s[len(s)-1] != ' ' && s[len(s)-1] != '\n' {
				out.WriteByte(' ')
			}
		case '\u200b', '\u200c', '\u200d', '\u00ad', '\ufeff', '\u034f', '\u2060': // invisible padding
		default:
			out.WriteRune(r)
		}
	}
}
