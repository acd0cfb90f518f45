package remote

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strconv"
	"time"
)

// DialFunc opens a connection, as net.Dialer.DialContext does.
type DialFunc func(ctx context.Context, network, address string) (net.Conn, error)

// fallbackDelay is how long one address may be silent before the next one is
// tried beside it (RFC 8305 5).
const fallbackDelay = 250 * time.Millisecond

// maxAddresses of one host are tried in one delivery.
const maxAddresses = 6

// dial connects to the first of a host's addresses that answers: they are tried in
// order, the next when one fails or is silent for fallbackDelay, so that a dead
// IPv6 costs a moment. Who comes second is closed.
func (s *Sender) dial(ctx context.Context, addrs []netip.Addr, port int) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Timeouts.Connect)
	defer cancel()
	addrs = addrs[:min(len(addrs), maxAddresses)]
	type attempt struct {
		conn net.Conn
		err  error
	}
	results := make(chan attempt, len(addrs))
	started, running := 0, 0
	start := func() {
		addr := netip.AddrPortFrom(addrs[started], uint16(port)).String()
		started++
		running++
		go func() {
			conn, err := s.cfg.Dial(ctx, "tcp", addr)
			results <- attempt{conn, err}
		}()
	}
	start()
	timer := time.NewTimer(fallbackDelay)
	defer timer.Stop()
	var errs []error
	for running > 0 {
		select {
		case r := <-results:
			running--
			if r.err == nil {
				go func(n int) { // those still on their way
					for range n {
						if late := <-results; late.conn != nil {
							late.conn.Close()
						}
					}
				}(running)
				return r.conn, nil
			}
			errs = append(errs, r.err)
			if started < len(addrs) {
				start()
			}
		case <-timer.C:
			if started < len(addrs) {
				start()
				timer.Reset(fallbackDelay)
			}
		}
	}
	return nil, errors.Join(errs...)
}

// sourceDialer returns the ordinary dialer, bound to the source address of the
// family that the destination has.
func sourceDialer(v4, v6 netip.Addr) DialFunc {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		var d net.Dialer
		if dest, err := netip.ParseAddrPort(address); err == nil {
			source := v6
			if dest.Addr().Unmap().Is4() {
				source = v4
			}
			if source.IsValid() {
				d.LocalAddr = &net.TCPAddr{IP: source.AsSlice(), Zone: source.Zone()}
			}
		}
		return d.DialContext(ctx, network, address)
	}
}

func joinPort(name string, port int) string { return net.JoinHostPort(name, strconv.Itoa(port)) }
