package queue

import (
	"context"
	"fmt"

	"facteur/mta"
	"facteur/storage/message"
	"facteur/storage/sqlite"
)

// Limits are what one account may send in 24 hours. They are there for the day on
// which somebody else has its password. 0: no limit.
type Limits struct {
	Messages int
	Fresh    int // recipients the account has never written to
}

// DefaultLimits: see Config.Limits.
func DefaultLimits() Limits { return Limits{Messages: 1000, Fresh: 200} }

// Allow counts one message of an account to recipients and returns nil, or counts
// nothing and returns the refusal: 450 4.7.1, since tomorrow it will do.
func (q *Queue) Allow(ctx context.Context, account string, recipients []message.AddrSpec) *mta.Reply {
	limits := DefaultLimits()
	if q.cfg.Limits != nil {
		limits = q.cfg.Limits(ctx, account)
	}
	keys := map[string]bool{}
	for _, r := range recipients {
		keys[r.Key()] = true
	}
	var refusal *mta.Reply
	err := q.commit.do(func(tx *sqlite.Tx) error {
		var err error
		refusal, err = q.count(tx, account, keys, limits)
		return err
	})
	if err != nil {
		return mta.TempFail(fmt.Errorf("sending limits of %s: %w", account, err))
	}
	return refusal
}

func (q *Queue) count(tx *sqlite.Tx, account string, keys map[string]bool, limits Limits) (*mta.Reply, error) {
	hour := q.cfg.Now().Unix() / 3600
	var messages, fresh, unknown int
	if err := tx.QueryRow("SELECT coalesce(sum(messages), 0), coalesce(sum(fresh), 0) FROM sent WHERE account = ? AND hour > ?",
		account, hour-24).Scan(&messages, &fresh); err != nil {
		return nil, err
	}
	for key := range keys {
		var n int
		if err := tx.QueryRow("SELECT count(*) FROM correspondent WHERE account = ? AND address = ?", account, key).Scan(&n); err != nil {
			return nil, err
		}
		unknown += 1 - n
	}
	switch {
	case limits.Messages > 0 && messages >= limits.Messages:
		return mta.NewReply(450, [3]int{4, 7, 1}, "This account has sent %d messages in 24 hours, which is its limit; try again later", messages), nil
	case limits.Fresh > 0 && unknown > 0 && fresh+unknown > limits.Fresh:
		return mta.NewReply(450, [3]int{4, 7, 1}, "This account has written to %d new addresses in 24 hours, its limit is %d; try again later", fresh, limits.Fresh), nil
	}
	for key := range keys {
		if _, err := tx.Exec("INSERT INTO correspondent (account, address) VALUES (?, ?) ON CONFLICT DO NOTHING", account, key); err != nil {
			return nil, err
		}
	}
	_, err := tx.Exec(`INSERT INTO sent (account, hour, messages, fresh) VALUES (?, ?, 1, ?)
		ON CONFLICT (account, hour) DO UPDATE SET messages = messages + 1, fresh = fresh + excluded.fresh`, account, hour, unknown)
	return nil, err
}
