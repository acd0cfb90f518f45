package queue

import (
	"context"
	"database/sql"
	"time"

	"facteur/mta"
	"facteur/storage/sqlite"
)

// Action is what a try came to for one recipient, in the words of RFC 3464 2.3.3.
type Action string

const (
	ActionDelivered Action = "delivered" // into a mailbox of ours
	ActionRelayed   Action = "relayed"   // to a server that has no DSN, or by an alias to elsewhere (RFC 3461 5.2.7)
	ActionExpanded  Action = "expanded"  // by an alias to several, some of them elsewhere (RFC 3461 5.2.7.3)
	ActionPassed    Action = "passed"    // to a server that tells the sender itself; RFC 3461 5.2.2
	ActionDelayed   Action = "delayed"
	ActionFailed    Action = "failed"
)

// good reports whether the sender has nothing to worry about.
func (a Action) good() bool { return a != ActionFailed && a != ActionDelayed }

// Fate is one recipient's part of a try.
type Fate struct {
	To     string
	Action Action
	Reply  string `json:",omitempty"` // "550 5.1.1 No such user"
	Remote string `json:",omitempty"` // the server's name
	Peer   string `json:",omitempty"` // its address and port
	TLS    string `json:",omitempty"`
	Cause  string `json:",omitempty"` // our own error, for the owner's eyes

	recipient mta.Recipient
	reply     *mta.Reply
	given     bool // failed because its time was over
}

// quoted reports whether Reply is what Remote said, and not what we say of a connection with it.
func (f *Fate) quoted() bool { return f.Remote != "" && f.reply != nil && f.reply.Quoted }

// verdict is what a try's results mean for its job, and all that is to be written.
type verdict struct {
	j       *job
	now     time.Time
	fates   []Fate
	open    []mta.Recipient // to be tried again
	next    int64
	tries   int
	warned  bool
	last    string
	notice  *entry // the DSN, nil: none
	silent  bool   // a DSN was due, but the sender is null
	spooled bool

	gone    bool // set by write: the job was dropped meanwhile
	lastJob bool // set by write: no other job of the message is left
}

// judge turns results into fates, decides about another try, and writes the DSN.
func (q *Queue) judge(ctx context.Context, j *job, results []mta.Result) *verdict {
	now := q.cfg.Now()
	schedule := q.scheduleOf(j)
	v := &verdict{j: j, now: now, tries: j.attempts + 1, warned: j.warned, spooled: j.lost || j.msg.Body.Path() != ""}
	expired, late := schedule.expired(j.msg, now), schedule.late(j.msg, now)
	for _, r := range results {
		f := fateOf(r)
		if f.Action == ActionDelayed {
			if expired && ctx.Err() == nil {
				f.Action, f.given = ActionFailed, true
			} else {
				v.open = append(v.open, r.To)
				v.last = f.Reply
			}
		}
		v.fates = append(v.fates, f)
	}
	if len(v.open) > 0 {
		v.next = micros(schedule.next(j.msg, v.tries, now))
		if ctx.Err() != nil {
			v.next, v.tries = j.next, j.attempts // we broke it off ourselves: that was no try
		}
	}
	q.notify(ctx, v, late && !j.warned && ctx.Err() == nil, since(j.msg).Add(schedule.GiveUp))
	return v
}

// scheduleOf is the schedule of a job's destination.
func (q *Queue) scheduleOf(j *job) Schedule { return q.route(j.to[0]).Schedule.or(q.cfg.Schedule) }

func fateOf(r mta.Result) Fate {
	f := Fate{To: r.To.Address.String(), Remote: r.RemoteMTA, Peer: r.Peer, TLS: r.TLS, recipient: r.To, reply: r.Err}
	switch {
	case r.Err == nil && r.Expanded:
		f.Action, f.reply = ActionExpanded, r.Said
	case r.Err == nil && r.Relayed: // also by an alias that leads elsewhere: nothing is delivered yet
		f.Action, f.reply = ActionRelayed, r.Said
	case r.Err == nil && r.RemoteMTA == "":
		f.Action, f.reply = ActionDelivered, r.Said
	case r.Err == nil:
		f.Action, f.reply = ActionPassed, r.Said
	case r.Err.Permanent():
		f.Action = ActionFailed
	default:
		f.Action = ActionDelayed
	}
	if f.reply != nil {
		f.Reply = replyText(f.reply)
		if f.reply.Err != nil {
			f.Cause = f.reply.Err.Error()
		}
	}
	return f
}

// replyText is a reply without our own cause.
func replyText(r *mta.Reply) string {
	said := *r
	said.Err = nil
	return said.Error()
}

// notify makes the DSN that the fates call for, if any (RFC 3461 5.2, 6).
func (q *Queue) notify(ctx context.Context, v *verdict, late bool, giveUp time.Time) {
	var told []Fate
	for _, f := range v.fates {
		want := f.recipient.Notify
		switch f.Action {
		case ActionFailed:
			if want.Wants(mta.NotifyFailure) {
				told = append(told, f)
			}
		case ActionDelayed:
			if late && want.Wants(mta.NotifyDelay) {
				told = append(told, f)
			}
		case ActionDelivered, ActionRelayed, ActionExpanded:
			if want.Wants(mta.NotifySuccess) {
				told = append(told, f)
			}
		}
	}
	v.warned = v.warned || late
	if len(told) == 0 {
		return
	}
	if v.j.msg.Env.MailFrom.IsZero() {
		v.silent = true // RFC 5321 6.1: never answer the null reverse-path
		return
	}
	m := q.compose(ctx, report{original: v.j.msg, lost: v.j.lost, fates: told, now: v.now, giveUp: giveUp})
	var err error
	if v.notice, err = q.enter(m); err != nil {
		// The mail has had its fate; that the sender is not told is the lesser evil.
		q.cfg.Log.Error("DSN not made", "id", v.j.id, "error", err)
	}
}

// write records the verdict: the try, the job's new state or end, the DSN, all or
// nothing.
func (v *verdict) write(tx *sqlite.Tx) error {
	v.gone, v.lastJob = false, false
	if _, err := tx.Exec("INSERT INTO event (message, at, data) VALUES (?, ?, ?)", v.j.message, micros(v.now),
		encode(Event{Dest: v.j.dest, Try: v.j.attempts + 1, Fates: v.fates, Next: v.nextTime(), Notice: v.noticeID()})); err != nil {
		return err
	}
	var err error
	var n int64
	if len(v.open) > 0 {
		// An operator's retry may have set an earlier time meanwhile; it has been served.
		n, err = changed(tx.Exec("UPDATE job SET next = ?, attempts = ?, warned = ?, recipients = ?, last = ? WHERE num = ?",
			v.next, v.tries, v.warned, encode(packRecipients(v.open)), v.last, v.j.num))
	} else {
		n, err = changed(tx.Exec("DELETE FROM job WHERE num = ?", v.j.num))
	}
	if v.gone = n == 0; v.gone || err != nil {
		return err
	}
	if v.notice != nil {
		if err := v.notice.insert(tx); err != nil {
			return err
		}
	}
	if len(v.open) == 0 {
		v.lastJob, err = endMessage(tx, v.j.message, micros(v.now))
	}
	return err
}

// endMessage lets go of a message's octets when no job is left.
func endMessage(tx *sqlite.Tx, message, now int64) (bool, error) {
	n, err := changed(tx.Exec("UPDATE message SET done = ?1 WHERE num = ?2 AND NOT EXISTS (SELECT 1 FROM job WHERE message = ?2)", now, message))
	if err != nil || n == 0 {
		return false, err
	}
	_, err = tx.Exec("DELETE FROM body WHERE message = ?", message)
	return true, err
}

// changed is the number of rows that a statement has changed.
func changed(r sql.Result, err error) (int64, error) {
	if err != nil {
		return 0, err
	}
	return r.RowsAffected()
}

func (v *verdict) nextTime() time.Time { return fromMicros(v.next) }

func (v *verdict) noticeID() mta.ID {
	if v.notice == nil {
		return ""
	}
	return v.notice.m.ID
}

func setNext(num, next int64) func(*sqlite.Tx) error {
	return func(tx *sqlite.Tx) error {
		_, err := tx.Exec("UPDATE job SET next = ? WHERE num = ?", next, num)
		return err
	}
}
