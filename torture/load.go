package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
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
	for i, worker := range []func(context.Context, *rand.Rand) error{l.mx, l.mx, l.mx, l.append, l.append, l.move, l.expunge, l.rename, l.submit} {
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
	c, err := l.dial(demoPorts.mx)
	if err != nil {
		return err
	}
	defer c.Close()
	for range 1 + rnd.IntN(20) {
		if ctx.Err() != nil {
			return nil
		}
		subject := l.ledger.offer(bob, "delivered")
		if err := c.SendMail("friend@elsewhere.test", []string{bob}, strings.NewReader(letter("friend@elsewhere.test", bob, subject, rnd))); err != nil {
			return err
		}
		l.ledger.stored(subject)
		l.done.Add(1)
	}
	return c.Quit()
}

// submit sends from bob to somewhere else, which ends in alice's mailbox Sink.
func (l *load) submit(ctx context.Context, rnd *rand.Rand) error {
	c, err := l.dial(demoPorts.submission)
	if err != nil {
		return err
	}
	defer c.Close()
	for range 1 + rnd.IntN(10) {
		if ctx.Err() != nil {
			return nil
		}
		subject := l.ledger.offer(alice, "submitted")
		if err := c.SendMail(bob, []string{"someone@elsewhere.test"}, strings.NewReader(letter(bob, "someone@elsewhere.test", subject, rnd))); err != nil {
			return err
		}
		l.ledger.stored(subject)
		l.done.Add(1)
	}
	return c.Quit()
}

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
		subject := l.ledger.offer(bob, "appended")
		if err := appendTo(c, []string{"INBOX", "Drafts"}[rnd.IntN(2)], letter(bob, bob, subject, rnd), imap.FlagSeen); err != nil {
			return err
		}
		l.ledger.stored(subject)
		l.done.Add(1)
	}
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
func (l *load) move(ctx context.Context, rnd *rand.Rand) error {
	c, err := l.login(bob)
	if err != nil {
		return err
	}
	defer c.Close()
	for ctx.Err() == nil {
		boxes := []string{"INBOX", "Archive"}
		rnd.Shuffle(2, func(i, j int) { boxes[i], boxes[j] = boxes[j], boxes[i] })
		data, err := c.Select(boxes[0], nil).Wait()
		if err != nil {
			return err
		}
		if data.NumMessages > 0 {
			first := 1 + rnd.Uint32N(data.NumMessages)
			var set imap.SeqSet
			set.AddRange(first, min(first+rnd.Uint32N(20), data.NumMessages))
			if _, err := c.Move(set, boxes[1]).Wait(); err != nil {
				return err
			}
			l.done.Add(1)
		}
		time.Sleep(5 * time.Millisecond)
	}
	return nil
}

// expunge deletes a message of INBOX for good.
func (l *load) expunge(ctx context.Context, rnd *rand.Rand) error {
	c, err := l.login(bob)
	if err != nil {
		return err
	}
	defer c.Close()
	for ctx.Err() == nil {
		data, err := c.Select("INBOX", nil).Wait()
		if err != nil {
			return err
		}
		if data.NumMessages > 50 {
			msgs, err := c.Fetch(imap.SeqSetNum(1+rnd.Uint32N(data.NumMessages)), &imap.FetchOptions{UID: true, Envelope: true}).Collect()
			if err != nil {
				return err
			}
			if len(msgs) == 1 && msgs[0].Envelope != nil {
				uid, subject := msgs[0].UID, msgs[0].Envelope.Subject
				l.ledger.remove(subject)
				if err := c.Store(imap.UIDSetNum(uid), &imap.StoreFlags{Op: imap.StoreFlagsAdd, Silent: true, Flags: []imap.Flag{imap.FlagDeleted}}, nil).Close(); err != nil {
					return err
				}
				gone, err := c.UIDExpunge(imap.UIDSetNum(uid)).Collect()
				if err != nil {
					return err
				}
				if len(gone) == 1 { // else the other worker moved it away first
					l.ledger.removed(subject)
				}
				l.done.Add(1)
			}
		}
		time.Sleep(10 * time.Millisecond)
	}
	return nil
}

// rename renames a tree of mailboxes to and fro.
func (l *load) rename(ctx context.Context, rnd *rand.Rand) error {
	c, err := l.login(bob)
	if err != nil {
		return err
	}
	defer c.Close()
	if boxes, err := c.List("", "*/One", nil).Collect(); err != nil {
		return err
	} else if len(boxes) == 0 {
		if err := c.Create("Work/One", nil).Wait(); err != nil {
			return err
		}
	}
	for ctx.Err() == nil {
		subject := l.ledger.offer(bob, "renamed")
		names := []string{"Work", "Play"}
		if boxes, err := c.List("", "Play", nil).Collect(); err != nil {
			return err
		} else if len(boxes) > 0 { // the server died between the two
			slices.Reverse(names)
		}
		if err := appendTo(c, names[0]+"/One", letter(bob, bob, subject, rnd)); err != nil {
			return err
		}
		l.ledger.stored(subject)
		if err := c.Rename(names[0], names[1], nil).Wait(); err != nil {
			return err
		}
		l.done.Add(2)
		time.Sleep(10 * time.Millisecond)
	}
	return nil
}
