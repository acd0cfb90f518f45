package mda

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"facteur/auth"
	"facteur/mta"
	"facteur/storage"
	"facteur/storage/message"
)

// world is an Agent over real rooms, and a queue that only keeps what it is given.
type world struct {
	*testing.T
	agent *Agent
	users *auth.Directory
	store *storage.Store
	queue keeper
	quota map[string]storage.Quota
	now   time.Time
}

type keeper struct {
	mu   sync.Mutex
	msgs []*mta.Message
	err  error
}

func (k *keeper) Add(_ context.Context, m *mta.Message) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.err == nil {
		k.msgs = append(k.msgs, m)
	}
	return k.err
}

// newWorld hosts example.org with alice, bob and carol, and closed.org, which is disabled.
func newWorld(t *testing.T) *world {
	w := &world{T: t, quota: make(map[string]storage.Quota), now: time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)}
	var err error
	dir := t.TempDir()
	w.users, err = auth.Open(filepath.Join(dir, "server.db"), auth.Config{Separators: "+", Hash: auth.HashCost{MemoryKiB: 64, Time: 1, Threads: 1}})
	w.must(err)
	t.Cleanup(func() { w.users.Close() })
	w.store, err = storage.Open(filepath.Join(dir, "mail"), storage.Config{
		LowWater: 1, Quota: func(name string) storage.Quota { return w.quota[name] },
	})
	w.must(err)
	t.Cleanup(func() { w.store.Close() })
	w.must(w.users.AddDomain(t.Context(), auth.Domain{Name: "example.org"}))
	w.must(w.users.AddDomain(t.Context(), auth.Domain{Name: "closed.org", Disabled: true}))
	for _, name := range []string{"alice@example.org", "bob@example.org", "carol@example.org"} {
		w.must(w.users.AddAccount(t.Context(), name, "x"))
	}
	w.agent = New(Config{
		Users: w.users, Store: w.store, Forward: &w.queue, DetailFolders: true,
		Now: func() time.Time { return w.now },
	})
	return w
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *world) alias(addr string, targets ...string) {
	w.Helper()
	al := auth.Alias{Address: addr}
	for _, t := range targets {
		al.Targets = append(al.Targets, address(w, t))
	}
	w.must(w.users.AddAlias(w.Context(), al))
}

const text = "From: sender@else.test\r\nSubject: hello\r\n\r\nbody\r\n"

func (w *world) message(from, body string) *mta.Message {
	m := &mta.Message{
		ID: mta.NewID(), Arrived: w.now, Prefix: []byte("Received: by here\r\n"), Body: mta.BodyBytes([]byte(body)),
		Peer: mta.Peer{Addr: netip.MustParseAddrPort("192.0.2.1:25")},
	}
	if from != "" {
		m.Env.MailFrom = address(w, from)
	}
	return m
}

// deliver returns the codes of the answers, "ok" for none.
func (w *world) deliver(m *mta.Message, junk bool, to ...string) string {
	w.Helper()
	for _, a := range to {
		m.Env.To = append(m.Env.To, mta.Recipient{Address: address(w, a), Notify: mta.NotifyFailure})
	}
	m.Junk = junk
	var words []string
	for i, r := range w.agent.Deliver(w.Context(), m, m.Env.To) {
		if r.To != m.Env.To[i] {
			w.Errorf("result %d is for %s", i, r.To.Address)
		}
		words = append(words, code(r.Err))
	}
	return strings.Join(words, ", ")
}

func code(r *mta.Reply) string {
	if r == nil {
		return "ok"
	}
	return fmt.Sprint(r.Code, " ", r.Status())
}

// mailbox returns the texts in a mailbox.
func (w *world) mailbox(account, name string) []string {
	w.Helper()
	a, err := w.store.Account(w.Context(), account)
	if errors.Is(err, storage.ErrNoAccount) {
		return nil
	}
	w.must(err)
	defer a.Release()
	m, err := a.Mailbox(w.Context(), name)
	w.must(err)
	defer m.Release()
	var texts []string
	for _, e := range m.Snapshot().All(0) {
		c, err := m.Open(e.UID)
		w.must(err)
		b, err := io.ReadAll(io.NewSectionReader(c, 0, c.Size()))
		w.must(err)
		c.Close()
		texts = append(texts, string(b))
	}
	return texts
}

// counts says how many messages are in the INBOXes of alice, bob and carol.
func (w *world) counts() [3]int {
	w.Helper()
	var n [3]int
	for i, name := range []string{"alice@example.org", "bob@example.org", "carol@example.org"} {
		n[i] = len(w.mailbox(name, "INBOX"))
	}
	return n
}

func (w *world) want(got, want any) {
	w.Helper()
	if got != want {
		w.Errorf("%v, want %v", got, want)
	}
}

func TestDeliverPutsTraceFieldsOnTop(t *testing.T) {
	w := newWorld(t)
	w.want(w.deliver(w.message("sender@else.test", text), false, "Alice@example.org"), "ok")
	got := w.mailbox("alice@example.org", "INBOX")
	want := "Return-Path: <sender@else.test>\r\nDelivered-To: Alice@example.org\r\nReceived: by here\r\n" + text
	if len(got) != 1 || got[0] != want {
		t.Errorf("%q", got)
	}
	w.want(w.deliver(w.message("", text), false, "bob@example.org"), "ok")
	if got := w.mailbox("bob@example.org", "INBOX"); len(got) != 1 || !strings.HasPrefix(got[0], "Return-Path: <>\r\n") {
		t.Errorf("%q", got)
	}
}

func TestOneCopyForEachAccount(t *testing.T) {
	w := newWorld(t)
	w.alias("team@example.org", "alice@example.org", "bob@example.org")
	w.want(w.deliver(w.message("sender@else.test", text), false, "alice@example.org", "team@example.org", "alice+x@example.org", "nobody@example.org"),
		"ok, ok, ok, 550 5.1.1")
	w.want(w.counts(), [3]int{1, 1, 0})
	got := w.mailbox("alice@example.org", "INBOX")[0]
	if !strings.Contains(got, "Delivered-To: alice@example.org\r\nDelivered-To: team@example.org\r\nDelivered-To: alice+x@example.org\r\n") {
		t.Errorf("%q", got)
	}
}

func TestWhereItIsFiled(t *testing.T) {
	w := newWorld(t)
	w.want(w.deliver(w.message("sender@else.test", text), true, "alice@example.org"), "ok")
	w.want(len(w.mailbox("alice@example.org", "Junk")), 1)
	w.want(w.deliver(w.message("sender@else.test", text), false, "alice+archive@example.org"), "ok")
	w.want(len(w.mailbox("alice@example.org", "Archive")), 1)
	w.want(w.deliver(w.message("sender@else.test", text), false, "alice+nowhere@example.org", `"bob+../x"@example.org`), "ok, ok")
	w.want(w.counts(), [3]int{1, 1, 0})
	w.want(w.deliver(w.message("sender@else.test", text), true, "alice+archive@example.org"), "ok")
	w.want(len(w.mailbox("alice@example.org", "Junk")), 2)
	w.agent.cfg.DetailFolders = false
	w.want(w.deliver(w.message("sender@else.test", text), false, "alice+archive@example.org"), "ok")
	w.want(w.counts(), [3]int{2, 1, 0})
}

func TestJunkThatTheQueueCarriesOnIsStillJunk(t *testing.T) {
	w := newWorld(t)
	w.quota["bob@example.org"] = storage.Quota{Bytes: 10}
	w.alias("team@example.org", "alice@example.org", "bob@example.org")
	w.want(w.deliver(w.message("sender@else.test", text), true, "team@example.org"), "ok")
	rest := w.queue.msgs[0]
	delete(w.quota, "bob@example.org")
	w.want(code(w.agent.Deliver(t.Context(), rest, rest.Env.To)[0].Err), "ok")
	w.want(len(w.mailbox("bob@example.org", "Junk")), 1)
	w.want(w.counts(), [3]int{})
}

func TestJunkGoesToTheMailboxWithThatUse(t *testing.T) {
	boxes := []storage.MailboxInfo{{Name: "INBOX", Exists: true}, {Name: "Junk", NoSelect: true}, {Name: "Pourriel", Exists: true, SpecialUse: `\Junk`}}
	if got := junkMailbox(boxes); got != "Pourriel" {
		t.Error(got)
	}
	if got := junkMailbox(boxes[:1]); got != "Junk" {
		t.Error(got)
	}
}

func TestQuota(t *testing.T) {
	w := newWorld(t)
	w.quota["alice@example.org"] = storage.Quota{Bytes: 1000}
	big := text + strings.Repeat("x", 500)
	w.want(w.deliver(w.message("sender@else.test", big), false, "alice@example.org"), "ok")
	w.want(w.deliver(w.message("sender@else.test", big), false, "alice@example.org", "bob@example.org"), "452 4.2.2, ok")
	w.want(w.deliver(w.message("sender@else.test", big+big), false, "alice@example.org"), "552 5.2.2")
	w.want(w.counts(), [3]int{1, 1, 0})
	report := w.message("", big)
	report.Peer = mta.Peer{}
	w.want(w.deliver(report, false, "alice@example.org"), "ok")
	w.want(w.counts(), [3]int{2, 1, 0})
}

func TestAliasElsewhereIsSentOnWithASignedReversePath(t *testing.T) {
	w := newWorld(t)
	w.alias("boss@example.org", "me@away.test", "bob@example.org")
	m := w.message("sender@else.test", text)
	m.Env.ENVID = "xyz"
	w.want(w.deliver(m, false, "boss@example.org"), "ok")
	w.want(w.counts(), [3]int{0, 1, 0})
	w.want(len(w.queue.msgs), 1)
	next := w.queue.msgs[0]
	w.want(string(next.Prefix), "Delivered-To: boss@example.org\r\nReceived: by here\r\n")
	w.want(next.Env.To[0], mta.Recipient{Address: address(t, "me@away.test"), Notify: mta.NotifyFailure})
	w.want(next.Env.ENVID, "xyz")
	path := next.Env.MailFrom
	if next.ID == m.ID || path.Domain != "example.org" || !strings.HasPrefix(path.Local, "SRS0=") {
		t.Errorf("%s from %s", next.ID, path)
	}

	// The bounce comes back.
	w.want(code(w.agent.Check(t.Context(), mta.Peer{}, message.AddrSpec{}, path)), "ok")
	w.want(w.deliver(w.message("", text), false, path.String()), "ok")
	back := w.queue.msgs[1]
	w.want(back.Env.MailFrom, message.AddrSpec{})
	w.want(back.Env.To[0].Address, address(t, "sender@else.test"))

	// Anything but a bounce doesn't, nor a forged or an old one.
	w.want(code(w.agent.Check(t.Context(), mta.Peer{}, address(t, "x@y.test"), path)), "550 5.1.1")
	w.want(w.deliver(w.message("x@y.test", text), false, path.String()), "550 5.1.1")
	forged := path
	forged.Local = strings.Replace(path.Local, "sender", "victim", 1)
	w.want(code(w.agent.Check(t.Context(), mta.Peer{}, message.AddrSpec{}, forged)), "550 5.1.1")
	away := path
	away.Domain = "else.test"
	w.want(code(w.agent.Check(t.Context(), mta.Peer{}, message.AddrSpec{}, away)), "550 5.7.1")
	w.now = w.now.Add(30 * 24 * time.Hour)
	w.want(code(w.agent.Check(t.Context(), mta.Peer{}, message.AddrSpec{}, path)), "550 5.1.1")
}

func TestReversePathOfOursStays(t *testing.T) {
	w := newWorld(t)
	w.alias("boss@example.org", "me@away.test")
	w.want(w.deliver(w.message("alice@example.org", text), false, "boss@example.org"), "ok")
	w.want(w.deliver(w.message("", text), false, "boss@example.org"), "ok")
	w.want(w.queue.msgs[0].Env.MailFrom, address(t, "alice@example.org"))
	w.want(w.queue.msgs[1].Env.MailFrom, message.AddrSpec{})
}

func TestSuccessIsReportedOnce(t *testing.T) {
	w := newWorld(t)
	w.alias("boss@example.org", "me@away.test", "alice@example.org")
	for notify, want := range map[mta.Notify]mta.Notify{
		0: 0, mta.NotifyNever: mta.NotifyNever, mta.NotifySuccess: mta.NotifyNever,
		mta.NotifySuccess | mta.NotifyFailure | mta.NotifyDelay: mta.NotifyFailure | mta.NotifyDelay,
	} {
		w.queue.msgs = nil
		to := []mta.Recipient{{Address: address(t, "boss@example.org"), Notify: notify}, {Address: address(t, "alice@example.org"), Notify: notify}}
		results := w.agent.Deliver(t.Context(), w.message("sender@else.test", text), to)
		if !results[0].Expanded || results[0].Relayed || results[1].Expanded || results[1].Relayed {
			t.Errorf("%+v", results)
		}
		if got := w.queue.msgs[0].Env.To[0].Notify; got != want {
			t.Errorf("NOTIFY=%s went on as %s", notify, got)
		}
	}
}

// TestAliasForOneElsewhereIsNoExpansion (RFC 3464 2.3.3).
func TestAliasForOneElsewhereIsNoExpansion(t *testing.T) {
	w := newWorld(t)
	w.alias("boss@example.org", "me@away.test")
	to := []mta.Recipient{{Address: address(t, "boss@example.org"), Notify: mta.NotifySuccess}}
	if r := w.agent.Deliver(t.Context(), w.message("sender@else.test", text), to)[0]; !r.Relayed || r.Expanded {
		t.Errorf("%+v", r)
	}
}

func TestForwardingLoopEnds(t *testing.T) {
	w := newWorld(t)
	w.alias("boss@example.org", "me@away.test", "alice@example.org")
	looped := "Received: by away.test\r\nDELIVERED-TO: Boss@EXAMPLE.org\r\n" + text
	w.want(w.deliver(w.message("sender@else.test", looped), false, "boss@example.org", "bob@example.org"), "554 5.4.6, ok")
	w.want(w.counts(), [3]int{0, 1, 0})
	w.want(len(w.queue.msgs), 0)
	quoted := text + "Delivered-To: boss@example.org\r\n" // in the body
	w.want(w.deliver(w.message("sender@else.test", quoted), false, "boss@example.org"), "ok")
}

func TestQueueThatRefusesLeavesNothingBehind(t *testing.T) {
	w := newWorld(t)
	w.alias("boss@example.org", "me@away.test", "alice@example.org")
	w.queue.err = errors.New("no room")
	w.want(w.deliver(w.message("sender@else.test", text), false, "boss@example.org", "bob@example.org"), "451 4.3.0, ok")
	w.want(w.counts(), [3]int{0, 1, 0})
}

func TestAliasThatGotThroughInPartIsPromised(t *testing.T) {
	w := newWorld(t)
	w.quota["bob@example.org"] = storage.Quota{Bytes: 10}
	w.quota["carol@example.org"] = storage.Quota{Bytes: 10}
	w.alias("team@example.org", "alice@example.org", "bob@example.org", "carol@example.org")
	w.alias("poor@example.org", "bob@example.org", "carol@example.org")
	w.want(w.deliver(w.message("sender@else.test", text), false, "team@example.org"), "ok")
	w.want(w.counts(), [3]int{1, 0, 0})
	w.want(len(w.queue.msgs), 1)
	rest := w.queue.msgs[0]
	w.want(rest.Env.MailFrom, address(t, "sender@else.test"))
	var to []string
	for _, r := range rest.Env.To {
		to = append(to, r.Address.String())
	}
	if !slices.Equal(to, []string{"bob@example.org", "carol@example.org"}) {
		t.Error(to)
	}
	w.want(w.deliver(w.message("sender@else.test", text), false, "poor@example.org"), "552 5.2.2")

	delete(w.quota, "bob@example.org") // the queue tries again
	results := w.agent.Deliver(t.Context(), rest, rest.Env.To)
	w.want(code(results[0].Err)+", "+code(results[1].Err), "ok, 552 5.2.2")
	w.want(w.counts(), [3]int{1, 1, 0})
}

// Each alias that leads to an account had a copy queued for it, and the account's own address was to be tried again.
func TestOneCopyForAnAccountThatIsPromised(t *testing.T) {
	w := newWorld(t)
	w.quota["bob@example.org"] = storage.Quota{Messages: 1}
	w.want(w.deliver(w.message("sender@else.test", text), false, "bob@example.org"), "ok")
	w.quota["carol@example.org"] = storage.Quota{Bytes: 10}
	w.alias("team@example.org", "alice@example.org", "bob@example.org")
	w.alias("staff@example.org", "alice@example.org", "bob@example.org")
	w.alias("poor@example.org", "bob@example.org", "carol@example.org")
	got := w.deliver(w.message("sender@else.test", text), false, "bob@example.org", "poor@example.org", "team@example.org", "staff@example.org")
	w.want(got, "ok, ok, ok, ok")
	var to []string
	for _, m := range w.queue.msgs {
		for _, r := range m.Env.To {
			to = append(to, r.Address.String())
		}
	}
	if slices.Sort(to); !slices.Equal(to, []string{"bob@example.org", "carol@example.org"}) {
		t.Errorf("queued for %q", to)
	}
}

func TestCheck(t *testing.T) {
	w := newWorld(t)
	w.alias("team@example.org", "alice@example.org", "bob@example.org")
	w.alias("away@example.org", "me@away.test")
	w.quota["alice@example.org"] = storage.Quota{Messages: 1}
	w.want(w.deliver(w.message("sender@else.test", text), false, "alice@example.org"), "ok")
	for to, want := range map[string]string{
		"alice@example.org":        "452 4.2.2",
		"team@example.org":         "ok", // bob has room
		"bob@example.org":          "ok",
		"BOB+x@Example.org":        "ok",
		"away@example.org":         "ok",
		"postmaster@example.org":   "452 4.2.2",
		"nobody@example.org":       "550 5.1.1",
		"x@closed.org":             "550 5.2.1",
		"x@else.test":              "550 5.7.1",
		"bob%else.test@else2.test": "550 5.7.1",
	} {
		w.want(to+" "+code(w.agent.Check(t.Context(), mta.Peer{}, address(t, "sender@else.test"), address(t, to))), to+" "+want)
	}
	w.want(code(w.agent.Check(t.Context(), mta.Peer{}, message.AddrSpec{}, message.AddrSpec{Local: "postmaster"})), "452 4.2.2")
	w.quota["alice@example.org"] = storage.Quota{}
	w.now = w.now.Add(fullFor)
	w.want(code(w.agent.Check(t.Context(), mta.Peer{}, message.AddrSpec{}, address(t, "alice@example.org"))), "ok")
}

func TestFullDisk(t *testing.T) {
	w := newWorld(t)
	store, err := storage.Open(t.TempDir(), storage.Config{LowWater: 1 << 60})
	w.must(err)
	t.Cleanup(func() { store.Close() })
	w.must(store.CreateAccount(t.Context(), "alice@example.org"))
	w.agent.cfg.Store = store
	w.want(code(w.agent.Check(t.Context(), mta.Peer{}, address(t, "sender@else.test"), address(t, "alice@example.org"))), "452 4.3.1")
	w.want(w.deliver(w.message("sender@else.test", text), false, "alice@example.org"), "452 4.3.1")
}

func TestManyRecipientsAtOnce(t *testing.T) {
	w := newWorld(t)
	var to []string
	for i := range 40 {
		name := fmt.Sprintf("u%d@example.org", i)
		w.must(w.users.AddAccount(t.Context(), name, "x"))
		to = append(to, name)
	}
	got := w.deliver(w.message("sender@else.test", text), false, to...)
	if strings.Trim(got, "ok, ") != "" {
		t.Error(got)
	}
	for _, name := range to {
		w.want(len(w.mailbox(name, "INBOX")), 1)
	}
}

func FuzzDeliveredBefore(f *testing.F) {
	f.Add([]byte("Delivered-To: a@b.c\r\n"), "a@b.c")
	f.Fuzz(func(t *testing.T, header []byte, addr string) {
		a, err := message.ParseAddrSpec(addr)
		if err != nil {
			return
		}
		deliveredBefore(header, a)
		if own := append(deliveredTo([]message.AddrSpec{a}), header...); !deliveredBefore(own, a) {
			t.Fatalf("%q was not found in %q", addr, bytes.TrimSpace(own))
		}
	})
}
