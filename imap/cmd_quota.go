package imap

import (
	"context"
	"fmt"
	"strings"

	"facteur/storage"
)

// The account is the one quota root, named "" (RFC 9208). Without a limit there is none.

func (s *session) getQuota(ctx context.Context, _ *request) error {
	s.dec.SP()
	root := s.dec.AString()
	if s.dec.End(); s.dec.Err() != nil {
		return s.dec.Err()
	}
	if root != "" || s.acct.Quota() == (storage.Quota{}) {
		return no("NONEXISTENT", "No such quota root")
	}
	return s.writeQuota(ctx)
}

func (s *session) getQuotaRoot(ctx context.Context, _ *request) error {
	name, err := s.mailboxArgument()
	if err != nil {
		return err
	}
	if box, err := s.open(ctx, name); err == nil {
		box.Release()
	} else if !isMissing(err) { // RFC 9208 4.1.2: the mailbox doesn't have to exist
		return err
	}
	if s.acct.Quota() == (storage.Quota{}) {
		s.out.printf("* QUOTAROOT %s\r\n", s.mailboxText(name))
		return nil
	}
	s.out.printf("* QUOTAROOT %s \"\"\r\n", s.mailboxText(name))
	return s.writeQuota(ctx)
}

func (s *session) writeQuota(ctx context.Context) error {
	usage, err := s.acct.Usage(ctx)
	if err != nil {
		return err
	}
	var resources []string
	quota := s.acct.Quota()
	if quota.Bytes > 0 { // RFC 9208 5.1: in units of 1024 octets
		resources = append(resources, fmt.Sprintf("STORAGE %d %d", (usage.Bytes+1023)/1024, quota.Bytes/1024))
	}
	if quota.Messages > 0 {
		resources = append(resources, fmt.Sprintf("MESSAGE %d %d", usage.Messages, quota.Messages))
	}
	s.out.printf("* QUOTA \"\" (%s)\r\n", strings.Join(resources, " "))
	return nil
}

// setQuota: quotas are the administrator's.
func (s *session) setQuota(_ context.Context, _ *request) error {
	d := s.dec
	d.SP()
	d.AString()
	d.SP()
	d.List(func() {
		d.Atom()
		d.SP()
		d.Number64()
	})
	if d.End(); d.Err() != nil {
		return d.Err()
	}
	return no("NOPERM", "Quotas are set by the administrator")
}
