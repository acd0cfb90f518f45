package queue

import (
	"context"

	"facteur/mta"
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

// Submit is Add for a message that an account sends: it counts the message in the same transaction, or
// takes and counts nothing and returns the refusal: 450 4.7.1, since tomorrow it will do.
func (q *Queue) Submit(ctx context.Context, account string, m *mta.Message) (refusal *mta.Reply, err error) {
	limits := DefaultLimits()
	if q.cfg.Limits != nil {
		limits = q.cfg.Limits(ctx, account)
	}
	keys := map[string]bool{}
	for _, to := range m.Env.To {
		keys[to.Address.Key()] = true
	}
	err = q.add(m, func(tx *sqlite.Tx) (taken bool, err error) {
		refusal, err = q.count(tx, account, keys, limits)
		return refusal == nil, err
	})
	return refusal, err
}

// count counts one message to the addresses with keys, or returns the refusal.
func (q *Queue) count(tx *sqlite.Tx, account string, keys map[string]bool, limits Limits) (*mta.Reply, error) {
	hour := q.cfg.Now().Unix() / 3600
	var messages, fresh int
	if err := tx.QueryRow("SELECT coalesce(sum(messages), 0), coalesce(sum(fresh), 0) FROM sent WHERE account = ? AND hour > ? AND hour <= ?",
		account, hour-24, hour).Scan(&messages, &fresh); err != nil {
		return nil, err
	}
	var unknown []string
	for key := range keys {
		var n int
		if err := tx.QueryRow("SELECT count(*) FROM correspondent WHERE account = ? AND address = ?", account, key).Scan(&n); err != nil {
			return nil, err
		}
		if n == 0 {
			unknown = append(unknown, key)
		}
	}
	switch {
	case limits.Messages > 0 && messages >= limits.Messages:
		return mta.NewReply(450, [3]int{4, 7, 1}, "This account has sent %d messages in 24 hours, which is its limit; try again later", messages), nil
	case limits.Fresh > 0 && len(unknown) > 0 && fresh+len(unknown) > limits.Fresh:
		return mta.NewReply(450, [3]int{4, 7, 1}, "This account has written to %d new addresses in 24 hours, its limit is %d; try again later", fresh, limits.Fresh), nil
	}
	for _, key := range unknown {
		if _, err := tx.Exec("INSERT INTO correspondent (account, address) VALUES (?, ?)", account, key); err != nil {
			return nil, err
		}
	}
	_, err := tx.Exec(`INSERT INTO sent (account, hour, messages, fresh) VALUES (?, ?, 1, ?)
		ON CONFLICT (account, hour) DO UPDATE SET messages = messages + 1, fresh = fresh + excluded.fresh`, account, hour, len(unknown))
	return nil, err
}
