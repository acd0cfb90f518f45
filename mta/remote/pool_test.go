package remote

import (
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"
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
