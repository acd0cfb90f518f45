package imap

import (
	"context"
	"errors"
	"net"
	"time"
)

// idle is RFC 2177. It never times out: the sign of life every KeepAlive finds out dead
// connections.
func (s *session) idle(ctx context.Context, _ *request) error {
	if s.dec.End(); s.dec.Err() != nil {
		return s.dec.Err()
	}
	s.out.printf("+ idling\r\n")
	report := s.reportIdle
	if s.notifying != nil {
		report = s.reportNotify
	}
	if err := s.listen(ctx, 0, report); err != nil {
		return err
	}
	s.dec.Start(s.limits())
	word := s.dec.Keyword()
	s.dec.End()
	if s.dec.Err() != nil || word != "DONE" {
		return errors.Join(s.dec.Err(), bad("Expected DONE"))
	}
	return nil
}

// reportIdle tells of everything in the selected mailbox: IDLE is a command in progress
// during which EXPUNGE may be sent.
func (s *session) reportIdle(ctx context.Context) error {
	if s.view == nil {
		return nil
	}
	return s.report(ctx, &request{}, true)
}

// listen waits for the client's next line and calls report at the start and whenever
// something has changed. Reading goes on beside, in a goroutine that does nothing else and
// ends with it or with the connection.
func (s *session) listen(ctx context.Context, timeout time.Duration, report func(context.Context) error) error {
	if s.watch == nil {
		s.watch = s.acct.Watch()
	}
	if err := report(ctx); err != nil {
		return err
	}
	if ready, err := s.settle(); ready || err != nil {
		return err
	}
	if err := s.setWaiting(timeout); err != nil {
		return err
	}
	read := make(chan error, 1)
	go func() { read <- s.readFirst() }()
	alive := time.NewTicker(s.srv.cfg.KeepAlive)
	defer alive.Stop()
	for {
		select {
		case err := <-read:
			return s.arrived(err)
		case <-s.watch.C():
			if err := report(ctx); err != nil {
				return s.hangUp(err)
			}
		case <-alive.C:
			if timeout == 0 { // only IDLE asks for it
				s.out.printf("* OK Still here\r\n")
			}
		case <-s.login.Revoked:
			return s.hangUp(s.revoked())
		}
		if err := s.out.flush(); err != nil {
			return s.hangUp(err)
		}
		s.out.release()
	}
}

// hangUp ends a session whose reading goroutine still has the connection. The last words are
// written first: nobody may write once it is closed.
func (s *session) hangUp(err error) error {
	flushed := s.out.flush()
	if e := s.net.Close(); e != nil && !errors.Is(e, net.ErrClosed) && flushed == nil {
		flushed = e
	}
	return errors.Join(err, flushed)
}
