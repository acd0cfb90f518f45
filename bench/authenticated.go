package main

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"net"
	"strings"

	"github.com/emersion/go-msgauth/dkim"
	"github.com/miekg/dns"
)

// inboundAuthenticated is inbound with the sender's SPF, DKIM and DMARC checked by Facteur, against
// DNS on loopback. Postfix checks nothing, as it comes from Debian: the ratio is against its plain rate.
func inboundAuthenticated(count int) func(context.Context, *env) error {
	return func(ctx context.Context, e *env) error {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			return err
		}
		addr, stop, err := senderZone(key)
		if err != nil {
			return err
		}
		defer stop()
		e.flags.dns = addr
		if err := e.restart(ctx); err != nil {
			return err
		}
		c, err := login(ctx, e.server.addresses().imap)
		if err != nil {
			return err
		}
		defer c.close()
		msgs := make([][]byte, min(count, 300))
		for i := range msgs {
			if msgs[i], err = sign(corpus{10 << 10}.message(i), key); err != nil {
				return err
			}
			msgs[i] = append(msgs[i], endOfData...)
		}
		sent := 0
		for _, conns := range []int{10, 50} {
			m := metric{name: fmt.Sprintf("10 KiB signed, %d connections", conns), unit: "msg/s", want: 5}
			l := load{conns: conns, total: count, message: func(i int) []byte { return msgs[i%len(msgs)] }}
			if err := deliver(ctx, e, c, m, l, &sent); err != nil {
				return err
			}
		}
		e.recordPeak()
		return nil
	}
}

func sign(msg []byte, key crypto.Signer) ([]byte, error) {
	var out bytes.Buffer
	err := dkim.Sign(&out, bytes.NewReader(msg), &dkim.SignOptions{
		Domain: "sender.test", Selector: "s1", Signer: key,
		HeaderCanonicalization: dkim.CanonicalizationRelaxed, BodyCanonicalization: dkim.CanonicalizationRelaxed,
		HeaderKeys: []string{"From", "To", "Subject", "Date", "Message-ID"},
	})
	return out.Bytes(), err
}

// senderZone serves what a receiver asks about sender.test.
func senderZone(key *rsa.PrivateKey) (addr string, stop func(), err error) {
	pub, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		return "", nil, err
	}
	texts := map[string]string{
		"sender.test.":               "v=spf1 ip4:127.0.0.0/8 -all",
		"client.sender.test.":        "v=spf1 ip4:127.0.0.0/8 -all",
		"s1._domainkey.sender.test.": "v=DKIM1; k=rsa; p=" + base64.StdEncoding.EncodeToString(pub),
		"_dmarc.sender.test.":        "v=DMARC1; p=reject",
	}
	handler := func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg)
		m.SetReply(q)
		name := strings.ToLower(q.Question[0].Name)
		text, known := texts[name]
		switch {
		case !known:
			m.Rcode = dns.RcodeNameError
			// Without it nobody may remember the answer (RFC 2308 5); every real server has it.
			m.Ns = []dns.RR{&dns.SOA{Hdr: dns.RR_Header{Name: ".", Rrtype: dns.TypeSOA, Class: dns.ClassINET, Ttl: 3600}, Ns: "ns.", Mbox: "root.", Minttl: 3600}}
		case q.Question[0].Qtype == dns.TypeTXT:
			rr := &dns.TXT{Hdr: dns.RR_Header{Name: q.Question[0].Name, Rrtype: dns.TypeTXT, Class: dns.ClassINET, Ttl: 3600}}
			for len(text) > 255 {
				rr.Txt, text = append(rr.Txt, text[:255]), text[255:]
			}
			rr.Txt = append(rr.Txt, text)
			m.Answer = []dns.RR{rr}
		}
		_ = w.WriteMsg(m) // a client that has gone asks again
	}
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	ln, err := net.Listen("tcp", pc.LocalAddr().String())
	if err != nil {
		pc.Close()
		return "", nil, err
	}
	udp := &dns.Server{PacketConn: pc, Handler: dns.HandlerFunc(handler)}
	tcp := &dns.Server{Listener: ln, Handler: dns.HandlerFunc(handler)}
	go func() { _ = udp.ActivateAndServe() }()
	go func() { _ = tcp.ActivateAndServe() }()
	return pc.LocalAddr().String(), func() { _ = udp.Shutdown(); _ = tcp.Shutdown() }, nil
}
