package remote

import (
	"context"
	"errors"
	"fmt"

	"facteur/mta"
)

// TLSMode says how a smarthost is spoken to, in the words of the configuration.
type TLSMode string

const (
	TLSStart    TLSMode = "starttls"      // STARTTLS with a verified certificate: port 587
	TLSImplicit TLSMode = "implicit"      // TLS from the first octet: port 465 (RFC 8314 3.3)
	TLSMay      TLSMode = "opportunistic" // STARTTLS when offered, unverified
)

// SmarthostConfig names a server that takes mail for everywhere, or for the
// domains that are routed to it.
type SmarthostConfig struct {
	Host     string // name or address
	Port     int    // 0: 587, or 465 with TLSImplicit
	TLS      TLSMode
	User     string // empty: no AUTH
	Password string
}

// Smarthost delivers through one configured server. It shares its Sender's
// connections and memory.
type Smarthost struct {
	s   *Sender
	cfg SmarthostConfig
}

// Smarthost returns a transport for one server.
func (s *Sender) Smarthost(cfg SmarthostConfig) *Smarthost {
	if cfg.TLS == "" {
		cfg.TLS = TLSStart
	}
	if cfg.Port == 0 {
		cfg.Port = 587
		if cfg.TLS == TLSImplicit {
			cfg.Port = 465
		}
	}
	return &Smarthost{s: s, cfg: cfg}
}

// Deliver is Sender.Deliver through the smarthost.
func (h *Smarthost) Deliver(ctx context.Context, m *mta.Message, to []mta.Recipient) []mta.Result {
	d, fault := h.s.newDelivery(m, to)
	if fault != nil {
		return d.give(fault)
	}
	key := fmt.Sprintf("smarthost %s:%d %s %s", h.cfg.Host, h.cfg.Port, h.cfg.TLS, h.cfg.User)
	if ses := h.s.idle.take(key); ses != nil {
		h.send(ctx, d, ses, key)
	}
	if len(d.open) == 0 {
		return d.results
	}
	ses, err := h.connect(ctx)
	if err != nil {
		reply := failure(h.cfg.Host, err)
		if reply.Permanent() {
			// The owner's configuration or his provider is at fault, not the recipient: the
			// mail waits for the repair.
			reply = &mta.Reply{Code: 451, Enhanced: [3]int{4, 3, 5}, Text: reply.Text, Err: err}
		}
		return d.giveUp(reply)
	}
	h.send(ctx, d, ses, key)
	return d.give(lostReply(h.cfg.Host, "before the message", errors.New("session ended")))
}

// send is Sender.use with the check that REQUIRETLS goes on.
func (h *Smarthost) send(ctx context.Context, d *delivery, ses *session, key string) {
	if d.ask.require && (!ses.strict || !ses.has("REQUIRETLS")) {
		h.s.idle.put(key, ses, h.s.cfg.Now())
		d.give(&mta.Reply{Code: 550, Enhanced: [3]int{5, 7, 30}, Err: errRequireTLS,
			Text: "The sender demands REQUIRETLS, and the relay " + h.cfg.Host + " does not offer it"})
		return
	}
	h.s.use(ctx, d, ses, key)
}

// connect opens a session, as with an MX, and logs in.
func (h *Smarthost) connect(ctx context.Context) (*session, error) {
	addrs, err := h.s.addresses(ctx, hostOf(h.cfg.Host))
	if err != nil {
		return nil, err
	}
	ses, err := h.s.connect(ctx, place{name: h.cfg.Host, addrs: addrs, port: h.cfg.Port, implicit: h.cfg.TLS == TLSImplicit}, h.policy())
	if err != nil || h.cfg.User == "" {
		return ses, err
	}
	undo := ses.interruptible(ctx)
	defer undo()
	if err := ses.auth(h.cfg.User, h.cfg.Password); err != nil {
		ses.close()
		return nil, err
	}
	return ses, nil
}

// policy is what the owner's configuration wants of TLS.
func (h *Smarthost) policy() tlsPolicy {
	if h.cfg.TLS == TLSMay {
		return tlsPolicy{level: tlsMay}
	}
	return tlsPolicy{level: tlsVerify, source: "configuration"}
}
