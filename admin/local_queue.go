package admin

import (
	"context"
	"fmt"
	"slices"

	"facteur/mta"
	"facteur/mta/queue"
)

func (f QueueFilter) filter() queue.Filter {
	return queue.Filter{ID: mta.ID(f.ID), Sender: f.Sender, Recipient: f.Recipient, Dest: f.Dest, Limit: f.Limit}
}

func itemOf(i queue.Item) QueueItem {
	return QueueItem{
		ID: string(i.ID), From: i.Sender, Recipients: i.Recipients, Dest: i.Dest, Size: i.Size, Arrived: i.Arrived,
		Held: i.Held, Attempts: i.Attempts, Next: i.Next, Last: i.Last,
	}
}

// QueueList implements Service.
func (l *Local) QueueList(ctx context.Context, q QueueFilter) ([]QueueItem, error) {
	items, err := l.Queue.List(ctx, q.filter())
	var list []QueueItem
	for _, i := range items {
		list = append(list, itemOf(i))
	}
	return list, err
}

// QueueDestinations implements Service.
func (l *Local) QueueDestinations(context.Context, None) ([]Destination, error) {
	var list []Destination
	for _, lane := range l.Queue.Lanes() {
		list = append(list, Destination(lane))
	}
	return list, nil
}

// QueueShow implements Service.
func (l *Local) QueueShow(ctx context.Context, q Name) (QueueMessage, error) {
	r, err := l.Queue.Show(ctx, mta.ID(q.Name))
	if err != nil {
		return QueueMessage{}, fmt.Errorf("message %s: %w", q.Name, err)
	}
	m := QueueMessage{
		ID: string(r.Message.ID), From: r.Message.Env.MailFrom.String(), Size: r.Size,
		Arrived: r.Message.Arrived, Done: r.Done, Events: r.Events,
	}
	for _, i := range r.Open {
		m.Open = append(m.Open, itemOf(i))
	}
	return m, nil
}

// QueueChange implements Service.
func (l *Local) QueueChange(ctx context.Context, q QueueOrder) (Count, error) {
	change, known := map[string]func(context.Context, queue.Filter) (int, error){
		"retry": l.Queue.Retry, "hold": l.Queue.Hold, "release": l.Queue.Release, "drop": l.Queue.Drop,
	}[q.Do]
	if !known {
		return Count{}, fmt.Errorf("%w: %q can't be done to a queue", ErrInvalid, q.Do)
	}
	if len(q.IDs) == 0 {
		n, err := change(ctx, q.Filter.filter())
		return Count{n}, err
	}
	var done Count
	for i, id := range q.IDs {
		if slices.Contains(q.IDs[:i], id) {
			continue // named twice
		}
		n, err := change(ctx, queue.Filter{ID: mta.ID(id)})
		if err == nil && n == 0 {
			err = fmt.Errorf("message %s: %w: nothing of it waits in the queue", id, ErrNotFound)
		}
		if err != nil {
			return done, err
		}
		done.Changed += n
	}
	return done, nil
}
