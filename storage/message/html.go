package message

import (
	"io"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// maxHTMLToken bounds one tag, comment or run of text of an HTML part.
const maxHTMLToken = 4 << 20 // images in the text are that long

// htmlText writes what a person sees of the HTML that r gives: no tags, no styles and
// scripts, a line end where a block ends.
func htmlText(t *textWriter, r io.Reader) {
	z := html.NewTokenizer(r)
	z.SetMaxBuf(maxHTMLToken)
	hidden := atom.Atom(0) // the element whose content nobody sees
	for !t.full() {
		kind := z.Next()
		switch kind {
		case html.ErrorToken:
			if err := z.Err(); err != html.ErrBufferExceeded {
				t.fail(err)
			}
			return
		case html.TextToken:
			if hidden == 0 {
				t.words(z.Text())
			}
		case html.StartTagToken, html.SelfClosingTagToken, html.EndTagToken:
			name, _ := z.TagName()
			a := atom.Lookup(name)
			switch {
			case kind == html.EndTagToken && a == hidden:
				hidden = 0
			case kind == html.StartTagToken && hidden == 0 && unseen(a):
				hidden = a
			}
			if breaksLine(a) {
				t.newLine()
			}
		}
	}
}

// unseen reports whether an element's content is not shown.
func unseen(a atom.Atom) bool {
	return a == atom.Style || a == atom.Script || a == atom.Title || a == atom.Template
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

// words writes text with every run of white space made one blank.
func (t *textWriter) words(text []byte) {
	for _, r := range string(text) {
		switch r {
		case ' ', '\t', '\r', '\n', '\f', '\u00a0':
			if t.last != ' ' && t.last != '\n' && t.last != 0 {
				t.rune(' ')
			}
		case '\u200b', '\u200c', '\u200d', '\u00ad', '\ufeff', '\u034f', '\u2060': // invisible padding
		default:
			t.rune(r)
		}
	}
}
