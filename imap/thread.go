package imap

import (
	"cmp"
	"context"
	"slices"

	"facteur/imap/wire"
	"facteur/storage"
	"facteur/storage/message"
)

// threaded is what threading needs of a message.
type threaded struct {
	position int
	date     int64
	subject  string // base subject, folded
	reply    bool   // the subject says that it is a reply or forward
	id       string
	refs     []string // the oldest first
}

// thread is a node of the answer: a message with those that follow it. A dummy stands for
// a message that isn't there; its position is -1.
type thread struct {
	msg      *threaded // nil: a dummy
	parent   *thread
	children []*thread
}

// threadAlgorithm turns messages, in the mailbox's order, into threads.
type threadAlgorithm func(messages []threaded) []*thread

// findThreadAlgorithm returns the algorithm of that name (RFC 5256 3), nil if there is
// none.
func findThreadAlgorithm(name string) threadAlgorithm {
	switch name {
	case "ORDEREDSUBJECT":
		return threadBySubject
	case "REFERENCES":
		return threadByReferences
	}
	return nil
}

// maxReferences is how many references of one message count: the first, which names the
// thread, and the last ones.
const maxReferences = 200

// thread threads the messages at the given positions, which are ascending.
func (s *search) thread(ctx context.Context, positions []int, algorithm threadAlgorithm) ([]*thread, error) {
	messages := make([]threaded, 0, len(positions))
	err := s.envelopes(ctx, positions, func(i int, e storage.Entry, env *message.Envelope) {
		messages = append(messages, newThreaded(i, e, env))
	})
	if err != nil {
		return nil, err
	}
	return algorithm(messages), nil
}

func newThreaded(position int, e storage.Entry, env *message.Envelope) threaded {
	t := threaded{position: position, date: sentDate(env, e).Unix()}
	base, reply := message.BaseSubject(message.DecodeText(env.Subject.Value))
	t.subject, t.reply = message.Fold(base), reply
	if ids := message.MessageIDs(env.MessageID.Value); len(ids) > 0 {
		t.id = ids[0]
	}
	t.refs = message.MessageIDs(env.References.Value)
	if len(t.refs) == 0 { // RFC 5256 3: then the first ID of In-Reply-To
		if ids := message.MessageIDs(env.InReplyTo.Value); len(ids) > 0 {
			t.refs = ids[:1]
		}
	}
	if n := len(t.refs); n > maxReferences {
		t.refs = append(t.refs[:1:1], t.refs[n-maxReferences+1:]...)
	}
	return t
}

// first is the message that a node is dated by: its own, or a dummy's first child's.
func (t *thread) first() *threaded {
	for t.msg == nil && len(t.children) > 0 {
		t = t.children[0]
	}
	return t.msg
}

// sortSiblings orders nodes by date, and by the mailbox's order where that is equal (RFC
// 5256 2.2).
func sortSiblings(siblings []*thread) {
	slices.SortStableFunc(siblings, func(a, b *thread) int {
		m, n := a.first(), b.first()
		if m == nil || n == nil {
			return 0
		}
		return cmp.Or(cmp.Compare(m.date, n.date), cmp.Compare(m.position, n.position))
	})
}

// threadBySubject is ORDEREDSUBJECT: messages with the same base subject are one thread,
// its first message the parent of all others.
func threadBySubject(messages []threaded) []*thread {
	nodes := make([]*thread, len(messages))
	for i := range messages {
		nodes[i] = &thread{msg: &messages[i]}
	}
	sortSiblings(nodes)
	bySubject := map[string]*thread{}
	var roots []*thread
	for _, node := range nodes {
		root := bySubject[node.msg.subject]
		if root == nil {
			bySubject[node.msg.subject] = node
			roots = append(roots, node)
			continue
		}
		root.children = append(root.children, node)
	}
	return roots
}

// appendThreads appends THREAD's answer (RFC 5256 4): number gives the number to answer
// for a position.
func appendThreads(b []byte, threads []*thread, number func(position int) uint32) []byte {
	for _, t := range threads {
		b = append(b, '(')
		b = appendThread(b, t, number)
		b = append(b, ')')
	}
	return b
}

// appendThread writes a chain as numbers one after another, and a fork as lists.
func appendThread(b []byte, t *thread, number func(position int) uint32) []byte {
	for {
		if t.msg != nil {
			b = wire.AppendNumber(b, number(t.msg.position))
		}
		if len(t.children) == 0 {
			return b
		}
		if t.msg != nil {
			b = append(b, ' ')
		}
		if len(t.children) > 1 {
			return appendThreads(b, t.children, number)
		}
		t = t.children[0]
	}
}
