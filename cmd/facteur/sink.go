package main

import (
	"context"
	"fmt"

	"facteur/mta"
	"facteur/mta/queue"
	"facteur/mta/simulate"
	"facteur/storage"
)

// newSink returns a Deps.Elsewhere that stands for the Internet: all mail for it goes into
// the mailbox Sink of an account, but for what is sent to a fault address.
func newSink(account string) func(*storage.Store) queue.Transport {
	return func(store *storage.Store) queue.Transport {
		take := func(ctx context.Context, m *mta.Message, to []mta.Recipient) error {
			return sink(ctx, store, account, m, to)
		}
		return &simulate.Sink{Take: take, Name: "sink.invalid", Faults: true}
	}
}

// sink stores a message as its recipients' server would.
func sink(ctx context.Context, store *storage.Store, account string, m *mta.Message, to []mta.Recipient) error {
	mail, err := store.Account(ctx, account)
	if err != nil {
		return fmt.Errorf("sink: %w", err)
	}
	defer mail.Release()
	prefix := fmt.Appendf(nil, "Return-Path: <%s>\r\n", m.Env.MailFrom)
	for _, r := range to {
		prefix = fmt.Appendf(prefix, "Delivered-To: %s\r\n", r.Address)
	}
	_, err = mail.Deliver(ctx, storage.Delivery{
		Prefix: append(prefix, m.Prefix...), Body: m.Body, BodySize: m.Body.Size(),
		Mailboxes: []string{"Sink"}, Internal: m.Arrived, OverQuota: true,
	})
	if err != nil {
		return fmt.Errorf("sink: %w", err)
	}
	return nil
}
