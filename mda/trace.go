package mda

import (
	"bytes"

	"facteur/mta"
	"facteur/storage/message"
)

// returnPath is the line that tells the reader's side the reverse-path (RFC 5321 4.4).
func returnPath(from message.AddrSpec) []byte {
	return []byte("Return-Path: <" + from.String() + ">\r\n")
}

// deliveredTo has a line for each address that a message came to on this way (RFC 9228 3).
func deliveredTo(to []message.AddrSpec) []byte {
	var b []byte
	for _, a := range to {
		b = append(b, "Delivered-To: "+a.String()+"\r\n"...)
	}
	return b
}

// checkLoop refuses a message that is to be sent on from an address that it was sent on from before
// (RFC 5321 6.3, RFC 9228 3).
func checkLoop(m *mta.Message, to message.AddrSpec) error {
	header, err := m.Body.Header()
	if err != nil {
		return err
	}
	if !deliveredBefore(header, to) && !deliveredBefore(m.Prefix, to) {
		return nil
	}
	return mta.NewReply(554, [3]int{5, 4, 6}, "The message has been here before: a forwarding loop")
}

// deliveredBefore looks for a Delivered-To field with an address.
func deliveredBefore(header []byte, to message.AddrSpec) bool {
	const name = "delivered-to:"
	for line := range bytes.Lines(header) {
		if len(line) < len(name) || !bytes.EqualFold(line[:len(name)], []byte(name)) {
			continue
		}
		value := string(bytes.TrimSpace(line[len(name):]))
		if addr, err := message.ParseAddrSpec(value); err == nil && addr.Key() == to.Key() {
			return true
		}
	}
	return false
}
