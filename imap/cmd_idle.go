package imap

import (
	"context"
	"errors"
	"io"
	"os"
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
		report = s.reportNotifyIdle
	}
	if err := s.listen(ctx, 0, report); err == io.EOF {
		return io.ErrUnexpectedEOF // many clients leave like that, in the middle of the command
	} else if err != nil {
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
// something has changed; without a timeout it gives signs of life.
func (s *session) listen(ctx context.Context, timeout time.Duration, report func(context.Context) error) error {
	if s.watch == nil {
		s.watch = s.acct.WatchFunc(s.wake)
	}
	started := time.Now()
	for {
		s.takeWake()
		// A login that isn't valid any more learns nothing more.
		if err := s.revoked(); err != nil {
			return err
		}
		if err := report(ctx); err != nil {
			return err
		}
		ready, err := s.settle()
		if ready || err != nil {
			return err
		}
		until := started.Add(timeout)
		if timeout == 0 {
			until = time.Now().Add(s.srv.cfg.KeepAlive)
		}
		err = s.waitUntil(until)
		if timeout == 0 && errors.Is(err, os.ErrDeadlineExceeded) {
			s.out.printf("* OK Still here\r\n")
			continue
		}
		if err != errWoken {
			return err
		}
	}
}
