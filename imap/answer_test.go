package imap

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"testing"

	"facteur/imap/wire"
	"facteur/storage"
)

// pieces remembers what was written at once.
type pieces struct {
	all     bytes.Buffer
	largest int
}

func (p *pieces) Write(b []byte) (int, error) {
	p.largest = max(p.largest, len(b))
	return p.all.Write(b)
}

func testSession(p *pieces) *session {
	return &session{conn: &conn{out: output{w: p, pool: &sync.Pool{New: func() any { return new([]byte) }}}}}
}

// An answer of megabytes goes out in pieces of the usual size, and is the same as in one.
func TestLongAnswersAreWrittenInPieces(t *testing.T) {
	const n = 100_000
	v := &view{}
	var odd, same []int
	var uids []string
	for i := range n {
		v.uids = append(v.uids, storage.UID(i+1))
		if i%2 == 0 {
			odd, uids = append(odd, i), append(uids, fmt.Sprint(i+1))
		}
		same = append(same, i)
	}
	r := &request{tag: "a", cmd: &command{uid: true}}
	esearch := func(o returnOptions, found []int) func(*session) {
		return func(s *session) {
			a := &searchAnswer{session: s, correlator: "TAG a", uid: true}
			a.write(v, &o, found)
		}
	}
	for _, tt := range []struct {
		name  string
		write func(*session)
		want  string
	}{
		{"SEARCH", func(s *session) { s.view = v; s.writeNumbers("SEARCH", r, &searchKey{}, odd) }, "* SEARCH " + strings.Join(uids, " ")},
		{"ESEARCH", esearch(returnOptions{all: true}, odd), "* ESEARCH (TAG a) UID ALL " + strings.Join(uids, ",")},
		{"ESEARCH of all", esearch(returnOptions{min: true, all: true, count: true}, same), "* ESEARCH (TAG a) UID MIN 1 ALL 1:100000 COUNT 100000"},
		{"ESEARCH of a part", esearch(returnOptions{partial: &wire.Partial{First: 2, Last: 4}}, odd), "* ESEARCH (TAG a) UID PARTIAL (2:4 3,5,7)"},
	} {
		p := &pieces{}
		s := testSession(p)
		tt.write(s)
		if err := s.out.flush(); err != nil {
			t.Fatal(err)
		}
		if got := p.all.String(); got != tt.want+"\r\n" {
			t.Errorf("%s: %d octets, want %d: %.80q", tt.name, len(got), len(tt.want)+2, got)
		}
		if p.largest > flushAt+64 {
			t.Errorf("%s: %d octets at once", tt.name, p.largest)
		}
	}
}
