package imap

import (
	"context"
	"errors"
	"iter"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"facteur/imap/wire"
	"facteur/storage"
)

// progress tells a client every ten seconds that the long command it waits for goes on (RFC 9585). What
// works never waits for the client, since it may hold locks: a timer writes, and only patiently's end
// waits for what the timer has begun to write.
type progress struct {
	out   *output
	tag   string
	every time.Duration

	read   atomic.Int64 // messages whose details were read
	opened atomic.Int64 // messages whose text was read; some searches ask for no details

	gone atomic.Bool // the client, as writing to it has shown

	mu    sync.Mutex // held while the timer writes
	timer *time.Timer
	over  bool
}

// progressEvery is the time between two signs of progress.
const progressEvery = 10 * time.Second

func (s *session) progress(r *request) *progress {
	return &progress{out: &s.out, tag: r.tag, every: s.srv.cfg.progressEvery}
}

// patiently does work, which must not write to the client, and shows its progress meanwhile.
func patiently[T any](p *progress, work func() (T, error)) (T, error) {
	p.mu.Lock()
	p.timer = time.AfterFunc(p.every, p.tell)
	p.mu.Unlock()
	defer p.stop()
	return work()
}

func (p *progress) stop() {
	p.timer.Stop()
	p.mu.Lock()
	p.over = true
	p.mu.Unlock()
}

// tell writes one sign. How much there is to do isn't known, and how much is done only of what reads message
// by message.
func (p *progress) tell() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.over {
		return
	}
	done := "NIL"
	if n := max(p.read.Load(), p.opened.Load()); n > 0 {
		done = strconv.FormatInt(n, 10)
	}
	p.out.printf("* OK [INPROGRESS (%s %s NIL)] Still working\r\n", wire.AppendString(nil, p.tag, false), done)
	if p.out.flush() != nil {
		p.gone.Store(true)
		return
	}
	p.timer.Reset(p.every)
}

// errGone ends a search that nobody waits for.
var errGone = errors.New("client is gone")

// check returns errGone where the client is.
func (p *progress) check() error {
	if p.gone.Load() {
		return errGone
	}
	return nil
}

// countedBox counts what SEARCH, SORT and THREAD read of a mailbox, and reads no more for a client that is gone.
type countedBox struct {
	*storage.Mailbox
	progress *progress
}

func (b *countedBox) Details(ctx context.Context, uids []storage.UID) iter.Seq2[*storage.Details, error] {
	return func(yield func(*storage.Details, error) bool) {
		for d, err := range b.Mailbox.Details(ctx, uids) {
			if b.progress.read.Add(1); err == nil {
				err = b.progress.check()
			}
			if !yield(d, err) {
				return
			}
		}
	}
}

func (b *countedBox) Open(uid storage.UID) (storage.Content, error) {
	b.progress.opened.Add(1)
	if err := b.progress.check(); err != nil {
		return nil, err
	}
	return b.Mailbox.Open(uid)
}
