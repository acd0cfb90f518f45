package dns

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	mdns "github.com/miekg/dns"
)

// udpSize is the EDNS buffer that needs no fragments on any usual path (DNS Flag Day 2020).
const udpSize = 1232

// exchange asks the servers for one question. The first is asked at once; the next one when it
// fails, or has been silent for a sixth of the timeout. Each is asked twice at most, and the first
// answer that isn't a failure counts.
func (r *Resolver) exchange(ctx context.Context, q question) (*mdns.Msg, error) {
	if r.zone != nil {
		return r.askZone(ctx, q)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	servers := r.servers()
	type outcome struct {
		msg *mdns.Msg
		err error
	}
	outcomes := make(chan outcome, 2*len(servers))
	tries, failed := 0, 0
	try := func() {
		server := servers[tries%len(servers)]
		tries++
		go func() {
			msg, err := r.askServer(ctx, server, q)
			if err != nil {
				err = fmt.Errorf("server %s: %w", server, err)
			}
			outcomes <- outcome{msg, err}
		}()
	}
	hedge := time.NewTicker(max(r.timeout/6, time.Millisecond))
	defer hedge.Stop()
	var errs []error
	for try(); ; {
		select {
		case o := <-outcomes:
			if o.err == nil {
				return o.msg, nil
			}
			failed++
			errs = append(errs, o.err)
			if failed == cap(outcomes) {
				return nil, failures(errs)
			}
			if tries < cap(outcomes) {
				try()
			}
		case <-hedge.C:
			if tries < cap(outcomes) {
				try()
			}
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// askServer asks one server over UDP, then TCP when the answer was cut short.
func (r *Resolver) askServer(ctx context.Context, server netip.AddrPort, q question) (*mdns.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	req := request(q)
	msg, err := roundTrip(ctx, "udp", server, req)
	if err == nil && msg.Rcode == mdns.RcodeFormatError {
		// RFC 6891 6.2.2: a server that doesn't know EDNS.
		req.Extra = nil
		msg, err = roundTrip(ctx, "udp", server, req)
	}
	if err == nil && msg.Truncated {
		msg, err = roundTrip(ctx, "tcp", server, req)
	}
	if err != nil {
		return nil, err
	}
	return msg, checkAnswer(msg)
}

func request(q question) *mdns.Msg {
	req := &mdns.Msg{}
	req.SetQuestion(q.name, q.typ) // a random ID; the socket's port is random too
	req.SetEdns0(udpSize, false)
	req.AuthenticatedData = true // RFC 6840 5.7: we want to hear of AD
	return req
}

// roundTrip sends req and waits for its answer. Datagrams that don't answer it are ignored, so that a
// stranger's guess doesn't end the look-up.
func roundTrip(ctx context.Context, network string, server netip.AddrPort, req *mdns.Msg) (*mdns.Msg, error) {
	var dialer net.Dialer
	c, err := dialer.DialContext(ctx, network, server.String())
	if err != nil {
		return nil, err
	}
	defer c.Close()
	stop := context.AfterFunc(ctx, func() { c.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	conn := &mdns.Conn{Conn: c, UDPSize: 4096} // some servers send more than we asked for
	if err := conn.WriteMsg(req); err != nil {
		return nil, err
	}
	for {
		msg, err := conn.ReadMsg()
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if msg != nil && msg.Truncated && answers(msg, req) {
			return msg, nil // cut in the middle of a record: still a valid hint
		}
		if err == nil && answers(msg, req) {
			return msg, nil
		}
		var netErr net.Error
		if network == "tcp" || errors.As(err, &netErr) {
			if err == nil {
				err = errors.New("an answer to another question")
			}
			return nil, err
		}
	}
}

// answers reports whether msg is the answer to req.
func answers(msg, req *mdns.Msg) bool {
	if !msg.Response || msg.Id != req.Id || msg.Opcode != req.Opcode {
		return false
	}
	if len(msg.Question) == 0 {
		// Servers that refuse a message as malformed may return its ID alone.
		return msg.Rcode == mdns.RcodeFormatError
	}
	got, want := msg.Question[0], req.Question[0]
	return len(msg.Question) == 1 && got.Qtype == want.Qtype && got.Qclass == want.Qclass && sameName(got.Name, want.Name)
}

// failures are the errors of all tries. They are one line, which says nothing twice: it goes to places
// where a line is an entry.
type failures []error

func (f failures) Error() string {
	var said []string
	for _, err := range f {
		if text := err.Error(); !slices.Contains(said, text) {
			said = append(said, text)
		}
	}
	return strings.Join(said, "; ")
}

func (f failures) Unwrap() []error { return f }

// askZone asks the zone in memory.
func (r *Resolver) askZone(ctx context.Context, q question) (*mdns.Msg, error) {
	msg := r.zone.Answer(request(q))
	if msg == nil {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(r.timeout):
			return nil, errors.New("the zone says nothing")
		}
	}
	return msg, checkAnswer(msg)
}
