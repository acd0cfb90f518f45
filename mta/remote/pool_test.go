package remote

import (
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"facteur/mta"
)

// Many idle sessions with servers that answer no QUIT keep a stop waiting as long as one.
func TestPoolClosesAllAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(20, time.Hour)
		start := time.Now()
		for range 20 {
			ours, theirs := net.Pipe()
			go io.Copy(io.Discard, theirs)
			p.put("x.test", newSession(ours, "mx.x.test", Timeouts{}.withDefaults(), start), start)
		}
		p.close()
		if took := time.Since(start); took != 5*time.Second {
			t.Errorf("took %v", took)
		}
	})
}

// A connection that the peer has closed meanwhile is found out by writing, and not kept for the next message; this one may
// be tried on another at once.
func TestClosedSessionIsNotKept(t *testing.T) {
	for _, ext := range []map[string]string{nil, {"PIPELINING": ""}} {
		ours, theirs := net.Pipe()
		theirs.Close()
		s := newSession(ours, "mx.x.test", Timeouts{}.withDefaults(), time.Now())
		s.ext = ext
		out := s.transact(&form{mail: "MAIL FROM:<>"}, []mta.Recipient{{Address: parse(t, "b@x.test")}})
		if !out[0].retry || !s.broken {
			t.Errorf("with %v: %+v, broken: %t", ext, out[0], s.broken)
		}
	}
}
