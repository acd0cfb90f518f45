package queue

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"time"

	"facteur/mta"
	"facteur/storage/message"
)

// How nouns stand in queue.db. The JSON names are part of the file's format.

// meta is a message without its octets and recipients.
type meta struct {
	From       address     `json:"from"`
	ENVID      string      `json:"envid,omitempty"`
	Return     mta.Return  `json:"ret,omitempty"`
	Encoding   uint8       `json:"body,omitempty"`
	UTF8       bool        `json:"utf8,omitempty"`
	RequireTLS bool        `json:"requiretls,omitempty"`
	Hold       int64       `json:"hold,omitempty"`
	Junk       bool        `json:"junk,omitempty"`
	Addr       string      `json:"addr,omitempty"`
	Name       string      `json:"name,omitempty"`
	Hello      string      `json:"hello,omitempty"`
	ESMTP      bool        `json:"esmtp,omitempty"`
	Login      string      `json:"login,omitempty"`
	Listener   string      `json:"listener,omitempty"`
	To         []recipient `json:"to"` // as accepted, for the history
}

// address is an AddrSpec by its two parts, so that reading it back is no parsing.
type address [2]string

type recipient struct {
	Address address    `json:"a"`
	ORCPT   string     `json:"o,omitempty"`
	Notify  mta.Notify `json:"n,omitempty"`
}

func packAddress(a message.AddrSpec) address { return address{a.Local, a.Domain} }
func (a address) unpack() message.AddrSpec   { return message.AddrSpec{Local: a[0], Domain: a[1]} }

func packRecipients(to []mta.Recipient) []recipient {
	out := make([]recipient, len(to))
	for i, r := range to {
		out[i] = recipient{packAddress(r.Address), r.ORCPT, r.Notify}
	}
	return out
}

func unpackRecipients(in []recipient) []mta.Recipient {
	out := make([]mta.Recipient, len(in))
	for i, r := range in {
		out[i] = mta.Recipient{Address: r.Address.unpack(), ORCPT: r.ORCPT, Notify: r.Notify}
	}
	return out
}

func packMeta(m *mta.Message) meta {
	w := meta{
		From: packAddress(m.Env.MailFrom), ENVID: m.Env.ENVID, Return: m.Env.Return, Encoding: uint8(m.Env.Encoding),
		UTF8: m.Env.UTF8, RequireTLS: m.Env.RequireTLS, Hold: micros(m.Env.HoldUntil), Junk: m.Junk,
		Name: m.Peer.Name, Hello: m.Peer.Hello, ESMTP: m.Peer.ESMTP, Login: m.Peer.Login, Listener: m.Peer.Listener,
		To: packRecipients(m.Env.To),
	}
	if m.Peer.Addr.IsValid() {
		w.Addr = m.Peer.Addr.String()
	}
	return w
}

// unpack makes the message again, without Body and Prefix.
func (w meta) unpack(id mta.ID, arrived int64) *mta.Message {
	m := &mta.Message{ID: id, Arrived: fromMicros(arrived), Junk: w.Junk}
	m.Env = mta.Envelope{
		MailFrom: w.From.unpack(), To: unpackRecipients(w.To), ENVID: w.ENVID, Return: w.Return, Encoding: mta.Encoding(w.Encoding),
		UTF8: w.UTF8, RequireTLS: w.RequireTLS, HoldUntil: fromMicros(w.Hold),
	}
	m.Peer = mta.Peer{Name: w.Name, Hello: w.Hello, ESMTP: w.ESMTP, Login: w.Login, Listener: w.Listener}
	if addr, err := netip.ParseAddrPort(w.Addr); err == nil {
		m.Peer.Addr = addr
	}
	return m
}

func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func fromMicros(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.UnixMicro(n)
}

// encode is json.Marshal for our own types, which cannot fail.
func encode(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("queue: encode %T: %v", v, err))
	}
	return string(b)
}

func decode(text string, v any) error { return json.Unmarshal([]byte(text), v) }
