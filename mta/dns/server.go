package dns

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"time"

	mdns "github.com/miekg/dns"
	"golang.org/x/sync/errgroup"
)

// Server answers from a Zone over UDP and TCP.
type Server struct {
	zone *Zone
	udp  net.PacketConn
	tcp  net.Listener
}

// Listen opens both sockets; Run serves and closes them. With port 0, both get the same free port.
func Listen(zone *Zone, addr netip.AddrPort) (*Server, error) {
	var lastErr error
	for range 20 { // the port that TCP got may be taken for UDP
		tcp, err := net.Listen("tcp", addr.String())
		if err != nil {
			return nil, fmt.Errorf("dns server: %w", err)
		}
		udp, err := net.ListenPacket("udp", tcp.Addr().String())
		if err == nil {
			return &Server{zone: zone, tcp: tcp, udp: udp}, nil
		}
		tcp.Close()
		lastErr = err
		if addr.Port() != 0 {
			break
		}
	}
	return nil, fmt.Errorf("dns server: %w", lastErr)
}

// Addr is where it listens.
func (s *Server) Addr() netip.AddrPort {
	return s.tcp.Addr().(*net.TCPAddr).AddrPort()
}

// Run serves until ctx ends.
func (s *Server) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, srv := range []*mdns.Server{
		{PacketConn: s.udp, Handler: mdns.HandlerFunc(s.answerUDP)},
		{Listener: s.tcp, Handler: mdns.HandlerFunc(s.answerTCP)},
	} {
		started := make(chan struct{})
		srv.NotifyStartedFunc = func() { close(started) }
		group.Go(srv.ActivateAndServe)
		group.Go(func() error {
			<-ctx.Done()
			// Shutdown before the start would be lost.
			select {
			case <-started:
			case <-time.After(time.Second):
			}
			return srv.Shutdown()
		})
	}
	return group.Wait()
}

func (s *Server) answerUDP(w mdns.ResponseWriter, req *mdns.Msg) {
	msg := s.zone.Answer(req)
	if msg == nil {
		return
	}
	size := mdns.MinMsgSize
	if opt := req.IsEdns0(); opt != nil {
		size = int(opt.UDPSize())
	}
	if s.zone.truncates(req) {
		msg.Answer, msg.Truncated = nil, true
	}
	msg.Truncate(size)
	w.WriteMsg(msg)
}

func (s *Server) answerTCP(w mdns.ResponseWriter, req *mdns.Msg) {
	if msg := s.zone.Answer(req); msg != nil {
		w.WriteMsg(msg)
	}
}

func (z *Zone) truncates(req *mdns.Msg) bool {
	z.mu.RLock()
	defer z.mu.RUnlock()
	return len(req.Question) == 1 && z.has("truncate", mdns.CanonicalName(req.Question[0].Name), req.Question[0].Qtype)
}
