package imap

// threadByReferences is REFERENCES (RFC 5256 3), whose steps the functions below carry
// out in their order.
func threadByReferences(messages []threaded) []*thread {
	r := references{byID: make(map[string]*thread, len(messages)), root: &thread{}}
	nodes := r.nodes(messages)
	for i := range messages {
		r.link(nodes[i], messages[i].refs)
	}
	r.gatherRoots()
	r.root.children = prune(nil, r.root.children, true)
	sortTree(r.root)
	r.groupSubjects()
	sortTree(r.root)
	return r.root.children
}

type references struct {
	byID  map[string]*thread
	order []*thread // all nodes, in the order in which they were made
	root  *thread
}

func (r *references) add() *thread {
	t := &thread{}
	r.order = append(r.order, t)
	return t
}

// nodes makes a node for each message. A Message-ID that is missing or not unique gives
// way: such a message is found by no reference (step 1).
func (r *references) nodes(messages []threaded) []*thread {
	nodes := make([]*thread, len(messages))
	for i := range messages {
		t := r.add()
		t.msg = &messages[i]
		nodes[i] = t
		if id := messages[i].id; id != "" && r.byID[id] == nil {
			r.byID[id] = t
		}
	}
	return nodes
}

// link is step 1: the references become a chain, and the message the child of its end. A
// chain doesn't change links that are there; the message's own link does.
func (r *references) link(node *thread, refs []string) {
	var parent *thread
	for _, id := range refs {
		ref := r.byID[id]
		if ref == nil {
			ref = r.add()
			r.byID[id] = ref
		}
		if parent != nil && ref.parent == nil && !isAbove(ref, parent) {
			ref.parent = parent
			parent.children = append(parent.children, ref)
		}
		parent = ref
	}
	if parent == node.parent {
		return
	}
	if node.parent != nil { // another's link gives way, also where there is none of its own
		node.parent.children = without(node.parent.children, node)
		node.parent = nil
	}
	if parent == nil || isAbove(node, parent) {
		return
	}
	node.parent = parent
	parent.children = append(parent.children, node)
}

// maxThreadWalk is how far up a loop is looked for. Chains that deep are no
// conversation; they are cut there.
const maxThreadWalk = 1000

// isAbove reports whether t is other or an ancestor of it: then a link from other to t
// would make a loop.
func isAbove(t, other *thread) bool {
	if t == other {
		return true
	}
	if len(t.children) == 0 {
		return false
	}
	for n := 0; other != nil; n++ {
		if other == t || n == maxThreadWalk {
			return true
		}
		other = other.parent
	}
	return false
}

func without(list []*thread, t *thread) []*thread {
	for i := len(list) - 1; i >= 0; i-- {
		if list[i] == t {
			return append(list[:i:i], list[i+1:]...)
		}
	}
	return list
}

// gatherRoots is step 2.
func (r *references) gatherRoots() {
	for _, t := range r.order {
		if t.parent == nil {
			r.root.children = append(r.root.children, t)
		}
	}
}

// prune is step 3: it appends siblings to kept, without dummies. Those that have children
// give way to them; under the root only if that leaves one.
func prune(kept, siblings []*thread, atRoot bool) []*thread {
	for _, t := range siblings {
		if t.msg == nil && !atRoot {
			kept = prune(kept, t.children, false)
			continue
		}
		t.children = prune(nil, t.children, false)
		if t.msg != nil || len(t.children) > 1 {
			kept = append(kept, t)
		} else {
			kept = append(kept, t.children...)
		}
	}
	return kept
}

// sortTree is steps 4 and 6. Children come first, since dummies are dated by them.
func sortTree(t *thread) {
	for _, child := range t.children {
		sortTree(child)
	}
	sortSiblings(t.children)
}

// groupSubjects is step 5: threads with the same base subject come together.
func (r *references) groupSubjects() {
	table := r.subjectTable()
	var roots []*thread
	for _, t := range r.root.children {
		first := t.first()
		other := table[first.subject]
		if first.subject == "" || other == t {
			roots = append(roots, t)
			continue
		}
		switch {
		case t.msg == nil && other.msg == nil: // both are dummies
			other.children = append(other.children, t.children...)
		case other.msg == nil, t.msg != nil && t.msg.reply && !other.msg.reply:
			other.children = append(other.children, t)
		default:
			// Neither is the other's reply: a new dummy takes other's place, and both.
			both := *other
			*other = thread{children: []*thread{&both, t}}
		}
	}
	r.root.children = roots
}

// subjectTable finds for each subject the thread that others join: a dummy before a
// message, a message before a reply (step 5 B).
func (r *references) subjectTable() map[string]*thread {
	table := map[string]*thread{}
	for _, t := range r.root.children {
		subject := t.first().subject
		if subject == "" {
			continue
		}
		old := table[subject]
		if old == nil || t.msg == nil && old.msg != nil ||
			old.msg != nil && t.msg != nil && old.msg.reply && !t.msg.reply {
			table[subject] = t
		}
	}
	return table
}
