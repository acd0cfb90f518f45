package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

// load is mixed traffic against a server that may die at any moment: an error ends a worker's session,
// and it comes again until ctx ends.
type load struct {
	site
	ledger *ledger
	done   atomic.Int64 // acknowledged operations
}

func newLoad(at site) *load { return &load{site: at, ledger: newLedger(at)} }

// run runs all workers until ctx ends.
func (l *load) run(ctx context.Context, seed uint64) {
	var wg sync.WaitGroup
	for i, worker := range []func(context.Context, *rand.Rand) error{
		l.mx, l.mx, l.mx, l.append, l.append, l.submit,
		l.asBob(5*time.Millisecond, l.move), l.asBob(10*time.Millisecond, l.expunge), l.asBob(10*time.Millisecond, l.rename),
	} {
		rnd := rand.New(rand.NewPCG(seed, uint64(i)))
		wg.Go(func() {
			for ctx.Err() == nil {
				if err := worker(ctx, rnd); err != nil {
					select { // the server is down, or has just died
					case <-time.After(20 * time.Millisecond):
					case <-ctx.Done():
					}
				}
			}
		})
	}
	wg.Wait()
}

func letter(from, to, subject string, rnd *rand.Rand) string {
	return fmt.Sprintf("From: <%s>\r\nTo: <%s>\r\nSubject: %s\r\nDate: Sat, 21 Nov 2026 10:00:00 +0000\r\nMessage-ID: <%s@torture.test>\r\n\r\n%s\r\n",
		from, to, subject, subject, strings.Repeat("All work and no play.\r\n", rnd.IntN(400)))
}

// dial connects to the MX as anybody, or to submission as bob.
func (s site) dial(port int) (*smtp.Client, error) {
	if port == demoPorts.mx {
		return smtp.Dial(s.addr(port))
	}
	c, err := smtp.DialStartTLS(s.addr(port), &tls.Config{InsecureSkipVerify: true}) // the demo's throw-away certificate
	if err != nil {
		return nil, err
	}
	if err := c.Auth(sasl.NewPlainClient("", bob, password)); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// mx delivers to bob, some messages in one session.
func (l *load) mx(ctx context.Context, rnd *rand.Rand) error {
	return l.send(ctx, rnd, traffic{port: demoPorts.mx, most: 20, kind: "delivered", owner: bob, from: "friend@elsewhere.test", to: bob})
}

// submit sends from bob to somewhere else, which ends in alice's mailbox Sink.
func (l *load) submit(ctx context.Context, rnd *rand.Rand) error {
	return l.send(ctx, rnd, traffic{port: demoPorts.submission, most: 10, kind: "submitted", owner: alice, from: bob, to: "someone@elsewhere.test"})
}

// traffic is messages of one kind.
type traffic struct {
	port, most     int    // where to, and how many in one session
	kind, from, to string // kind is what the ledger calls them
	owner          string // whom they come to
}

// send sends some messages in one session.
func (l *load) send(ctx context.Context, rnd *rand.Rand, m traffic) error {
	c, err := l.dial(m.port)
	if err != nil {
		return err
	}
	defer c.Close()
	for range 1 + rnd.IntN(m.most) {
		if ctx.Err() != nil {
			return nil
		}
		subject := l.ledger.offer(m.owner, m.kind)
		if err := c.SendMail(m.from, []string{m.to}, strings.NewReader(letter(m.from, m.to, subject, rnd))); err != nil {
			return err
		}
		l.ledger.stored(subject)
		l.done.Add(1)
	}
	return c.Quit()
}

// asBob makes a worker of a step: it is done in one session, with a pause after each, until it fails or ctx ends.
func (l *load) asBob(pause time.Duration, step func(*imapclient.Client, *rand.Rand) error) func(context.Context, *rand.Rand) error {
	return func(ctx context.Context, rnd *rand.Rand) error {
		c, err := l.login(bob)
		if err != nil {
			return err
		}
		defer c.Close()
		for ctx.Err() == nil {
			if err := step(c, rnd); err != nil {
				return err
			}
			time.Sleep(pause)
		}
		return nil
	}
}

// append adds some messages in a session of its own.
func (l *load) append(ctx context.Context, rnd *rand.Rand) error {
	c, err := l.login(bob)
	if err != nil {
		return err
	}
	defer c.Close()
	for range 1 + rnd.IntN(20) {
		if ctx.Err() != nil {
			return nil
		}
		if err := l.appendNew(c, []string{"INBOX", "Drafts"}[rnd.IntN(2)], "appended", rnd, imap.FlagSeen); err != nil {
			return err
		}
	}
	return nil
}

// appendNew adds a message that the ledger knows.
func (l *load) appendNew(c *imapclient.Client, mailbox, kind string, rnd *rand.Rand, flags ...imap.Flag) error {
	subject := l.ledger.offer(bob, kind)
	if err := appendTo(c, mailbox, letter(bob, bob, subject, rnd), flags...); err != nil {
		return err
	}
	l.ledger.stored(subject)
	l.done.Add(1)
	return nil
}

// appendTo ends the command whatever happens: a client that has an open one waits for ever.
func appendTo(c *imapclient.Client, mailbox, msg string, flags ...imap.Flag) error {
	cmd := c.Append(mailbox, int64(len(msg)), &imap.AppendOptions{Flags: flags})
	_, err := io.WriteString(cmd, msg)
	if closeErr := cmd.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return err
	}
	_, err = cmd.Wait()
	return err
}

// move moves messages between INBOX and Archive: they may be in the one or the other, never in both.
func (l *load) move(c *imapclient.Client, rnd *rand.Rand) error {
	boxes := []string{"INBOX", "Archive"}
	rnd.Shuffle(2, func(i, j int) { boxes[i], boxes[j] = boxes[j], boxes[i] })
	data, err := c.Select(boxes[0], nil).Wait()
	if err != nil || data.NumMessages == 0 {
		return err
	}
	first := 1 + rnd.Uint32N(data.NumMessages)
	var set imap.SeqSet
	set.AddRange(first, min(first+rnd.Uint32N(20), data.NumMessages))
	if _, err := c.Move(set, boxes[1]).Wait(); err != nil {
		return err
	}
	l.done.Add(1)
	return nil
}

// expunge deletes a message of INBOX for good.
func (l *load) expunge(c *imapclient.Client, rnd *rand.Rand) error {
	data, err := c.Select("INBOX", nil).Wait()
	if err != nil || data.NumMessages <= 50 {
		return err
	}
	msgs, err := c.Fetch(imap.SeqSetNum(1+rnd.Uint32N(data.NumMessages)), &imap.FetchOptions{UID: true, Envelope: true}).Collect()
	if err != nil || len(msgs) != 1 || msgs[0].Envelope == nil {
		return err
	}
	uid, subject := imap.UIDSetNum(msgs[0].UID), msgs[0].Envelope.Subject
	l.ledger.remove(subject)
	if err := c.Store(uid, &imap.StoreFlags{Op: imap.StoreFlagsAdd, Silent: true, Flags: []imap.Flag{imap.FlagDeleted}}, nil).Close(); err != nil {
		return err
	}
	gone, err := c.UIDExpunge(uid).Collect()
	if err != nil {
		return err
	}
	if len(gone) == 1 { // else the other worker moved it away first
		l.ledger.removed(subject)
	}
	l.done.Add(1)
	return nil
}

// rename renames a tree of mailboxes to and fro, which has got a message more before.
func (l *load) rename(c *imapclient.Client, rnd *rand.Rand) error {
	boxes, err := c.List("", "*/One", nil).Collect()
	if err != nil {
		return err
	}
	from, to := "Work", "Play"
	switch {
	case len(boxes) == 0:
		if err := c.Create("Work/One", nil).Wait(); err != nil {
			return err
		}
	case boxes[0].Mailbox == "Play/One":
		from, to = to, from
	}
	if err := l.appendNew(c, from+"/One", "renamed", rnd); err != nil {
		return err
	}
	if err := c.Rename(from, to, nil).Wait(); err != nil { // a kill has split the tree: the rest follows
		if err := c.Rename(from+"/One", to+"/One", nil).Wait(); err != nil {
			return err
		}
	}
	l.done.Add(1)
	return nil
}
