package differential

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// ask asks both servers about a message, or about several with NUL between them.
func (r *random) ask(text []byte, item string) asked {
	texts := bytes.Split(text, []byte{0})
	a := asked{text: text, item: item}
	for _, s := range []struct {
		*raw
		answer *string
	}{{r.small.ours, &a.ours}, {r.small.theirs, &a.theirs}} {
		for _, text := range texts {
			s.must("APPEND small {%d+}\r\n%s", len(text), text)
		}
		s.must("NOOP")
		last := 0
		if _, err := fmt.Sscanf(answer(s.raw, "SEARCH *"), "* SEARCH %d", &last); err != nil {
			r.t.Fatal(err)
		}
		if first := last - len(texts) + 1; strings.HasPrefix(item, "SORT") || strings.HasPrefix(item, "THREAD") {
			*s.answer = relative(answer(s.raw, fmt.Sprintf("%s %d:%d", item, first, last)), first-1)
		} else {
			*s.answer = one(s.raw, "small", last, item)
		}
	}
	return a
}

// one asks one server one thing about message n of the mailbox.
func one(r *raw, mailbox string, n int, item string) string {
	if key, ok := strings.CutPrefix(item, "SEARCH "); ok {
		if strings.ContainsFunc(key, func(c rune) bool { return c > 127 }) {
			return strings.Replace(search(r, fmt.Sprintf("CHARSET UTF-8 %d %s", n, key)), fmt.Sprint(" ", n), " found", 1)
		}
		return strings.Replace(search(r, fmt.Sprintf("%d %s", n, key)), fmt.Sprint(" ", n), " found", 1)
	}
	s := fetchOne(r, n, item)
	if s == "hangs up" {
		r.must("SELECT %s", mailbox)
	}
	return s
}

var number = regexp.MustCompile(`[0-9]+`)

// relative counts the messages of an answer from base on.
func relative(s string, base int) string {
	return number.ReplaceAllStringFunc(s, func(n string) string {
		i, err := strconv.Atoi(n)
		if err != nil {
			return n
		}
		return strconv.Itoa(i - base)
	})
}

// shrinkTries bounds how often a difference is looked at again.
const shrinkTries = 400

// shrink takes lines, then octets away from a message, as long as the servers differ about it.
func (r *random) shrink(text []byte, item string) []byte {
	tries := 0
	differs := func(b []byte) bool {
		tries++
		if tries > shrinkTries || !bytes.HasPrefix(b, []byte("MIME-Version: 1.0\r\n")) || slices.ContainsFunc(bytes.Split(b, []byte{0}), func(m []byte) bool { return len(m) == 0 }) {
			return false
		}
		_, differs := compare(r.ask(b, item))
		return differs
	}
	join := func(lines [][]byte) []byte { return bytes.Join(lines, nil) }
	lines := bytes.SplitAfter(text, []byte("\n"))
	text = join(without(lines, func(lines [][]byte) bool { return differs(join(lines)) }))
	return crlf(without(text, func(b []byte) bool { return differs(crlf(b)) }))
}

// without takes stretches away from a list, long ones first, as long as ok holds of the rest.
func without[T any](list []T, ok func([]T) bool) []T {
	for size := len(list) / 2; size >= 1; size /= 2 {
		for at := 0; at < len(list); {
			end := min(at+size, len(list))
			if less := slices.Concat(list[:at], list[end:]); ok(less) {
				list = less
			} else {
				at = end
			}
		}
	}
	return list
}
