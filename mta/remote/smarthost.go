package remote

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"

	"github.com/emersion/go-sasl"
	"github.com/xdg-go/scram"

	"facteur/mta"
)

// TLSMode says how a smarthost is spoken to.
type TLSMode string

const (
	TLSStart    TLSMode = "starttls" // STARTTLS with a verified certificate: port 587
	TLSImplicit TLSMode = "tls"      // TLS from the first octet: port 465 (RFC 8314 3.3)
	TLSMay      TLSMode = "may"      // STARTTLS when offered, unverified
	TLSNone     TLSMode = "none"     // in the clear, for a server on this machine
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
		return d.give(fault, false)
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
		return d.give(reply, true)
	}
	h.send(ctx, d, ses, key)
	return d.give(lostReply(h.cfg.Host, "before the message", errors.New("session ended")), false)
}

// send is Sender.use with the check that REQUIRETLS goes on.
func (h *Smarthost) send(ctx context.Context, d *delivery, ses *session, key string) {
	if d.ask.require && (!ses.strict || !ses.has("REQUIRETLS")) {
		h.s.idle.put(key, ses, h.s.cfg.Now())
		d.give(&mta.Reply{Code: 550, Enhanced: [3]int{5, 7, 30}, Err: errRequireTLS,
			Text: "The sender demands REQUIRETLS, and the relay " + h.cfg.Host + " does not offer it"}, false)
		return
	}
	h.s.use(ctx, d, ses, key)
}

// errUpgrade: STARTTLS did not work.
var errUpgrade = fmt.Errorf("%w: STARTTLS failed", errTLS)

// connect opens a session. With TLSMay a failed STARTTLS costs the connection and a second one is made in
// the clear, as with an MX.
func (h *Smarthost) connect(ctx context.Context) (*session, error) {
	ses, err := h.attempt(ctx, h.cfg.TLS)
	if h.cfg.TLS == TLSMay && errors.Is(err, errUpgrade) && ctx.Err() == nil {
		h.s.cfg.Log.Info("TLS failed, sending in the clear", "host", h.cfg.Host, "error", err)
		return h.attempt(ctx, TLSNone)
	}
	return ses, err
}

func (h *Smarthost) attempt(ctx context.Context, mode TLSMode) (*session, error) {
	conn, err := h.dial(ctx)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", h.cfg.Host, err)
	}
	ses := newSession(conn, h.cfg.Host, h.s.cfg.Timeouts, h.s.cfg.Now())
	undo := ses.interruptible(ctx)
	defer undo()
	if err := h.open(ctx, ses, mode); err != nil {
		ses.close()
		return nil, err
	}
	return ses, nil
}

func (h *Smarthost) dial(ctx context.Context) (net.Conn, error) {
	// The dialer of the Sender wants addresses; a configured name may be one.
	addrs, err := h.s.addresses(ctx, hostOf(h.cfg.Host))
	if err != nil {
		return nil, err
	}
	return h.s.dial(ctx, addrs, h.cfg.Port)
}

// open brings the session to where MAIL may be said.
func (h *Smarthost) open(ctx context.Context, ses *session, mode TLSMode) error {
	hello := h.s.cfg.Hello
	if mode == TLSImplicit {
		var verified bool
		if err := ses.handshake(ctx, h.s.clientConfig(h.cfg.Host, true, &verified)); err != nil {
			return fmt.Errorf("%w: %w", errTLS, err)
		}
		ses.noteTLS(verified)
	}
	if err := ses.greet(hello); err != nil {
		return err
	}
	switch {
	case mode == TLSStart, mode == TLSMay && ses.has("STARTTLS"):
		if err := ses.upgrade(ctx, h.s, mode == TLSStart); err != nil {
			return fmt.Errorf("%w: %w", errUpgrade, err)
		}
	}
	if h.cfg.User == "" {
		return nil
	}
	return ses.auth(h.cfg.User, h.cfg.Password)
}

// auth logs in with the best mechanism both sides know (RFC 4954).
func (s *session) auth(user, password string) error {
	offered := strings.Fields(strings.ToUpper(s.ext["AUTH"]))
	var client sasl.Client
	switch {
	case slices.Contains(offered, "SCRAM-SHA-256"):
		c, err := scram.SHA256.NewClient(user, password, "")
		if err != nil {
			return fmt.Errorf("AUTH with %s: %w", s.host, err)
		}
		client = &scramClient{conv: c.NewConversation()}
	case s.tls == "":
		return fmt.Errorf("%w: %s offers no login that hides the password in the clear", errTLS, s.host)
	case slices.Contains(offered, "PLAIN"):
		client = sasl.NewPlainClient("", user, password)
	case slices.Contains(offered, "LOGIN"):
		client = sasl.NewLoginClient(user, password)
	default:
		return fmt.Errorf("AUTH with %s: it offers no mechanism that we know", s.host)
	}
	mech, initial, err := client.Start()
	if err != nil {
		return fmt.Errorf("AUTH with %s: %w", s.host, err)
	}
	line := "AUTH " + mech
	if initial != nil {
		line += " " + encodeSASL(initial)
	}
	for {
		r, err := s.command(s.timeouts.Command, line)
		if err != nil {
			return fmt.Errorf("AUTH with %s: %w", s.host, err)
		}
		if r.Code == 235 {
			if c, ok := client.(*scramClient); ok && !c.conv.Valid() {
				return fmt.Errorf("AUTH with %s: it has not proved that it knows the password", s.host)
			}
			return nil
		}
		if r.Code != 334 {
			return fmt.Errorf("AUTH with %s: %w", s.host, r)
		}
		challenge, err := base64.StdEncoding.DecodeString(r.Text)
		if err != nil {
			return fmt.Errorf("AUTH with %s: challenge: %w", s.host, err)
		}
		response, err := client.Next(challenge)
		if err != nil {
			return fmt.Errorf("AUTH with %s: %w", s.host, err)
		}
		line = base64.StdEncoding.EncodeToString(response)
	}
}

// encodeSASL: RFC 4954 4, an empty initial response is written "=".
func encodeSASL(b []byte) string {
	if len(b) == 0 {
		return "="
	}
	return base64.StdEncoding.EncodeToString(b)
}

// scramClient gives scram's conversation the face of a sasl.Client.
type scramClient struct{ conv *scram.ClientConversation }

func (c *scramClient) Start() (string, []byte, error) {
	first, err := c.conv.Step("")
	return "SCRAM-SHA-256", []byte(first), err
}

func (c *scramClient) Next(challenge []byte) ([]byte, error) {
	s, err := c.conv.Step(string(challenge))
	return []byte(s), err
}
