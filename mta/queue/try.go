package queue

import (
	"context"
	"errors"
	"fmt"
	"time"

	"facteur/mta"
	"facteur/storage/sqlite"
)

// try is one job's way through a delivery: read it unless it is in memory, hand it
// to its transport, make the results durable, let the lane learn. It runs in a
// goroutine of its own, which ends with it.
func (q *Queue) try(ctx context.Context, j *job, l *lane) {
	var kept int64
	if j.msg != nil {
		kept = j.msg.Size()
	}
	defer q.finished(j, l, kept)
	if j.msg == nil {
		ok, err := q.fetch(ctx, j)
		if err != nil && ctx.Err() == nil {
			q.unreadable(ctx, j, err)
		}
		if !ok {
			return
		}
		defer j.msg.Body.Close()
	}
	results, touched := q.deliver(ctx, j, l)
	q.finish(ctx, j, results)
	if touched && ctx.Err() == nil {
		now := q.cfg.Now()
		q.mu.Lock()
		l.learn(results, q.cfg.MaxPause, now)
		q.mu.Unlock()
	}
}

// deliver runs the transport, once for each route that the recipients have now: the
// configuration may have changed since the job was made. For a lane that is down it
// answers at once with what the last try came to; touched says which it was.
func (q *Queue) deliver(ctx context.Context, j *job, l *lane) (results []mta.Result, touched bool) {
	now := q.cfg.Now()
	q.mu.Lock()
	var down *mta.Reply
	if l.isDown(now) {
		down = l.down
	}
	q.mu.Unlock()
	if down != nil {
		for _, to := range j.to {
			results = append(results, mta.Result{To: to, Err: down, At: now})
		}
		return results, false
	}
	groups := map[string][]mta.Recipient{}
	routes := map[string]Route{}
	for _, to := range j.to {
		r := q.route(to)
		routes[r.Key] = r
		groups[r.Key] = append(groups[r.Key], to)
	}
	for key, to := range groups {
		got := routes[key].Transport.Deliver(ctx, j.msg, to)
		if len(got) != len(to) {
			// A transport that loses recipients must not lose mail: they stay queued.
			fault := mta.TempFail(fmt.Errorf("transport for %q returned %d results for %d recipients", key, len(got), len(to)))
			got = got[:0]
			for _, r := range to {
				got = append(got, mta.Result{To: r, Err: fault, At: now})
			}
		}
		results = append(results, got...)
	}
	return results, true
}

// finish makes the results durable.
func (q *Queue) finish(ctx context.Context, j *job, results []mta.Result) {
	v := q.judge(ctx, j, results)
	if len(v.open) > 0 {
		j.due = v.next
	}
	if !q.persist(ctx, j, v.write) {
		return
	}
	q.logResults(j, v)
	if v.lastJob && v.spooled {
		q.spool.discard(j.id)
	}
	q.mu.Lock()
	q.sched.stats.count(v)
	if len(v.open) > 0 {
		q.wakeBy(v.next)
	}
	q.mu.Unlock()
	if v.notice != nil && !v.gone {
		q.schedule(v.notice)
	}
}

// persist makes a change after a try durable, and reports whether it is. The peer has taken what it has taken, so this does
// not give up before ctx ends: a full disk is waited for.
func (q *Queue) persist(ctx context.Context, j *job, write func(*sqlite.Tx) error) bool {
	for wait := time.Second; ; wait = min(2*wait, time.Minute) {
		err := q.commit.do(write)
		if err == nil {
			return true
		}
		q.cfg.Log.Error("result of a try not recorded, trying again", "id", j.id, "job", j.num, "error", err)
		select {
		case <-ctx.Done():
			return false
		case <-time.After(wait):
		}
	}
}

// logResults writes one line for each recipient, and for a notice. What was delivered here, without a server, has
// its line already: mda writes it, since it knows the mailbox, and since not all of it passes through the queue.
func (q *Queue) logResults(j *job, v *verdict) {
	for _, f := range v.fates {
		if f.Remote == "" && f.Action.good() {
			continue
		}
		args := []any{"id", j.id, "from", j.msg.Env.MailFrom.String(), "to", f.To, "dest", j.dest}
		if f.Remote != "" {
			args = append(args, "remote", f.Remote, "peer", f.Peer, "tls", f.TLS)
		}
		if f.Reply != "" {
			args = append(args, "reply", f.Reply)
		}
		if f.Cause != "" {
			args = append(args, "error", f.Cause)
		}
		switch f.Action {
		case ActionDelayed:
			q.cfg.Log.Info("message deferred", append(args, "next", fromMicros(v.next))...)
		case ActionFailed:
			q.cfg.Log.Warn("message bounced", args...)
		default:
			q.cfg.Log.Info("message delivered", args...)
		}
	}
	if v.notice != nil && !v.gone {
		q.cfg.Log.Info("sender notified", "id", j.id, "notice", v.notice.m.ID, "to", v.notice.m.Env.To[0].Address.String())
	} else if v.silent {
		q.cfg.Log.Warn("bounce of a bounce dropped", "id", j.id)
	}
}

// unreadable decides about a job whose message can't be read. For octets that are gone its recipients fail,
// and the sender hears of it. Other errors may pass, such as too many open files or a disk that is away: the job
// is put off, until the message's time is over.
func (q *Queue) unreadable(ctx context.Context, j *job, err error) {
	now := q.cfg.Now()
	if j.msg == nil || !errors.Is(err, errLost) && !q.scheduleOf(j).expired(j.msg, now) {
		q.cfg.Log.Error("queued message not readable, left for later", "id", j.id, "job", j.num, "error", err)
		q.postpone(ctx, j)
		return
	}
	q.cfg.Log.Error("queued message lost, its sender is told", "id", j.id, "job", j.num, "error", err)
	j.msg.Body, j.lost = mta.BodyBytes(nil), true
	reply := &mta.Reply{Code: 554, Enhanced: [3]int{5, 3, 0}, Text: "The message was lost on this server's disk", Err: err}
	var results []mta.Result
	for _, to := range j.to {
		results = append(results, mta.Result{To: to, Err: reply, At: now})
	}
	q.finish(ctx, j, results)
}

// postpone puts a job that can't be read off by an hour.
func (q *Queue) postpone(ctx context.Context, j *job) {
	j.due = micros(q.cfg.Now().Add(time.Hour))
	if !q.persist(ctx, j, setNext(j.num, j.due)) {
		return
	}
	q.mu.Lock()
	q.wakeBy(j.due)
	q.mu.Unlock()
}
