package storage

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"facteur/storage/maildir"
	"facteur/storage/sqlite"
)

func userVersion(n int) func(*sqlite.Tx) error {
	return func(tx *sqlite.Tx) error {
		_, err := tx.Exec(fmt.Sprintf("PRAGMA user_version=%d", n))
		return err
	}
}

func TestTree(t *testing.T) {
	a := newAccount(t)
	ctx := t.Context()
	names := func() string {
		list, err := a.Mailboxes(ctx)
		if err != nil {
			t.Fatal(err)
		}
		var b strings.Builder
		for _, i := range list {
			if i.SpecialUse != "" {
				continue
			}
			fmt.Fprintf(&b, " %s", i.Name)
			for _, mark := range []struct {
				on   bool
				text string
			}{{i.NoSelect, "-"}, {i.Subscribed, "+"}, {i.HasChild, ">"}, {!i.Exists, "?"}} {
				if mark.on {
					b.WriteString(mark.text)
				}
			}
		}
		return b.String()
	}
	want := func(err error, is error, list string) {
		t.Helper()
		if !errors.Is(err, is) {
			t.Errorf("error %v, want %v", err, is)
		}
		if got := names(); got != list {
			t.Errorf("names%s\nwant %s", got, list)
		}
	}
	want(a.CreateMailbox(ctx, "a/b.c/Ö", ""), nil, " INBOX+ a> a/b.c> a/b.c/Ö")
	want(a.CreateMailbox(ctx, "a", ""), ErrExists, " INBOX+ a> a/b.c> a/b.c/Ö")
	want(a.CreateMailbox(ctx, "../x", ""), nil, " INBOX+ ..> ../x a> a/b.c> a/b.c/Ö")
	want(a.DeleteMailbox(ctx, "../x"), nil, " INBOX+ .. a> a/b.c> a/b.c/Ö")
	want(a.DeleteMailbox(ctx, ".."), nil, " INBOX+ a> a/b.c> a/b.c/Ö")
	want(a.DeleteMailbox(ctx, "a"), nil, " INBOX+ a-> a/b.c> a/b.c/Ö")
	want(a.DeleteMailbox(ctx, "a"), ErrHasChild, " INBOX+ a-> a/b.c> a/b.c/Ö")
	want(a.DeleteMailbox(ctx, "inbox"), ErrInbox, " INBOX+ a-> a/b.c> a/b.c/Ö")
	want(a.RenameMailbox(ctx, "a", "z/y"), nil, " INBOX+ z> z/y-> z/y/b.c> z/y/b.c/Ö")
	want(a.RenameMailbox(ctx, "z", "z/k"), ErrName, " INBOX+ z> z/y-> z/y/b.c> z/y/b.c/Ö")
	want(a.RenameMailbox(ctx, "q", "r"), ErrNoMailbox, " INBOX+ z> z/y-> z/y/b.c> z/y/b.c/Ö")
	want(a.Subscribe(ctx, "z/y/b.c", true), nil, " INBOX+ z> z/y-> z/y/b.c+> z/y/b.c/Ö")
	want(a.DeleteMailbox(ctx, "z/y/b.c"), nil, " INBOX+ z> z/y-> z/y/b.c-+> z/y/b.c/Ö")
	want(a.DeleteMailbox(ctx, "z/y/b.c/Ö"), nil, " INBOX+ z z/y/b.c-+?")
	want(a.Subscribe(ctx, "z/y/b.c", false), nil, " INBOX+ z")
	want(a.CreateMailbox(ctx, strings.Repeat("x", 300), ""), ErrLimit, " INBOX+ z")
	want(a.CreateMailbox(ctx, "a//b", ""), ErrName, " INBOX+ z")
	deliver(t, a, text(1))
	want(a.RenameMailbox(ctx, "INBOX", "old"), nil, " INBOX+ old z")
	if m := box(t, a, "old"); m.Snapshot().Len() != 1 || box(t, a, "INBOX").Snapshot().Len() != 0 {
		t.Error("messages were not moved")
	}
	mustAgree(t, a)
}

func TestUIDValidityRisesAfterDelete(t *testing.T) {
	a := newAccount(t)
	last := uint32(0)
	for range 3 {
		if err := a.CreateMailbox(t.Context(), "x", ""); err != nil {
			t.Fatal(err)
		}
		m, err := a.Mailbox(t.Context(), "x")
		if err != nil {
			t.Fatal(err)
		}
		if m.validity <= last {
			t.Errorf("UIDVALIDITY %d after %d", m.validity, last)
		}
		last = m.validity
		if err := a.DeleteMailbox(t.Context(), "x"); err != nil {
			t.Fatal(err)
		}
		if !m.Gone() {
			t.Error("not gone")
		}
		if _, err := m.Append(t.Context(), []New{newMsg(text(1), Flags{})}); err == nil {
			t.Error("append to a deleted mailbox")
		}
		m.Release()
	}
}

func TestTransfers(t *testing.T) {
	a := newAccount(t)
	ctx := t.Context()
	inbox, archive := box(t, a, "INBOX"), box(t, a, "Archive")
	appendTo(t, inbox, newMsg(text(1), Flags{System: Seen, Keywords: []string{"Zeta", "alpha"}}), newMsg(text(2), Flags{}), newMsg(text(3), Flags{}))
	ids := func(m *Mailbox) map[UID]Details {
		all := map[UID]Details{}
		for d, err := range m.Details(ctx, m.Snapshot().UIDs()) {
			if err != nil {
				t.Fatal(err)
			}
			all[d.UID] = *d
		}
		return all
	}
	was := ids(inbox)
	pairs, err := inbox.Copy(ctx, []UID{3, 1, 9, 1}, archive)
	if err != nil || !slices.Equal(pairs, []UIDPair{{3, 1}, {1, 2}}) {
		t.Fatal(pairs, err)
	}
	if now := ids(archive); now[2].EmailID() != was[1].EmailID() || now[2].ThreadID() != was[1].ThreadID() || now[1].EmailID() != was[3].EmailID() {
		t.Errorf("IDs changed: %+v %+v", was, now)
	}
	if e := archive.Snapshot().At(1); e.Flags.System != Seen || !slices.Equal(e.Flags.Keywords, []string{"alpha", "Zeta"}) || e.Internal.Unix() != 1700000000 {
		t.Errorf("%+v", e)
	}
	if pairs, err = inbox.Copy(ctx, []UID{1}, inbox); err != nil || !slices.Equal(pairs, []UIDPair{{1, 4}}) {
		t.Fatal(pairs, err)
	}
	if pairs, err = inbox.Move(ctx, []UID{2, 4}, archive); err != nil || !slices.Equal(pairs, []UIDPair{{2, 3}, {4, 4}}) {
		t.Fatal(pairs, err)
	}
	if pairs, err = inbox.Move(ctx, []UID{2}, archive); err != nil || pairs != nil {
		t.Fatal("moved twice:", pairs, err)
	}
	if pairs, err = inbox.Move(ctx, []UID{1}, inbox); err != nil || !slices.Equal(inbox.Snapshot().UIDs(), []UID{3, 5}) {
		t.Fatal(pairs, err, inbox.Snapshot().UIDs())
	}
	uid, err := inbox.Replace(ctx, 3, inbox, newMsg(text(7), Flags{System: Draft}))
	if err != nil || uid != 6 || !slices.Equal(inbox.Snapshot().UIDs(), []UID{5, 6}) || read(t, inbox, 6) != text(7) {
		t.Fatal(uid, err)
	}
	if _, err = inbox.Replace(ctx, 3, inbox, newMsg(text(7), Flags{})); !errors.Is(err, ErrGone) {
		t.Fatal(err)
	}
	mustAgree(t, a)
}

// Whether they stand together or far apart, each row comes once and in order.
func TestDetailsOfAllAndOfSome(t *testing.T) {
	m := box(t, newAccount(t), "INBOX")
	var msgs []New
	for i := range 150 {
		msgs = append(msgs, newMsg(fmt.Sprintf("Subject: %d\r\n\r\n", i+1), Flags{}))
	}
	appendTo(t, m, msgs...)
	for _, step := range []UID{1, 2, 3, 40} {
		var some []UID
		for uid := UID(1); uid <= 160; uid += step {
			some = append(some, uid)
		}
		next := UID(1)
		for d, err := range m.Details(t.Context(), some) {
			if err != nil {
				t.Fatal(err)
			}
			sum, err := m.Summary(d)
			if err != nil || d.UID != next || sum.Envelope.Subject.Value != fmt.Sprint(next) {
				t.Fatalf("every %d: UID %d with subject %q, want UID %d (%v)", step, d.UID, sum.Envelope.Subject.Value, next, err)
			}
			next += step
		}
		if next <= 150 {
			t.Errorf("every %d: nothing from UID %d on", step, next)
		}
	}
}

// A summary in the index that another version wrote was an error for "facteur migrate".
func TestSummaryOfAnotherVersion(t *testing.T) {
	m := box(t, newAccount(t), "INBOX")
	appendTo(t, m, newMsg("Message-ID: <a@x>\r\n\r\n", Flags{}))
	for _, form := range []string{"", "\xff"} {
		if sum, err := m.Summary(&Details{UID: 1, Summary: form}); err != nil || sum.Envelope.MessageID.Value != "<a@x>" {
			t.Errorf("%q: %+v %v", form, sum, err)
		}
		if _, err := m.Summary(&Details{UID: 2, Summary: form}); !errors.Is(err, ErrGone) {
			t.Errorf("%q, and no message: %v", form, err)
		}
	}
}

func TestThreads(t *testing.T) {
	a := newAccount(t)
	m := box(t, a, "INBOX")
	for _, head := range []string{
		"Message-ID: <reply@x>\r\nReferences: <root@x> <mid@x>\r\n", // comes before what it answers
		"Message-ID: <root@x>\r\n",
		"Message-ID: <other@x>\r\n",
		"Message-ID: <late@x>\r\nIn-Reply-To: <reply@x>\r\n",
		"X: no ids\r\n",
	} {
		appendTo(t, m, newMsg(head+"\r\n", Flags{}))
	}
	var threads []string
	for d, err := range m.Details(t.Context(), m.Snapshot().UIDs()) {
		if err != nil {
			t.Fatal(err)
		}
		threads = append(threads, d.ThreadID())
	}
	if threads[0] != threads[1] || threads[0] != threads[3] || threads[0] == threads[2] || threads[4] == threads[2] {
		t.Error(threads)
	}
}

func TestStoreUnchangedSince(t *testing.T) {
	a := newAccount(t)
	m := box(t, a, "INBOX")
	appendTo(t, m, newMsg(text(1), Flags{}), newMsg(text(2), Flags{}))
	since := m.Snapshot().HighestModSeq
	if _, err := m.Store(t.Context(), []UID{1}, FlagsAdd, Flags{System: Seen}, &since); err != nil {
		t.Fatal(err)
	}
	res, err := m.Store(t.Context(), []UID{1, 2}, FlagsAdd, Flags{System: Flagged}, &since)
	if err != nil || !slices.Equal(res.Modified, []UID{1}) || len(res.Changed) != 1 || res.Changed[0].UID != 2 {
		t.Fatal(res, err)
	}
	var changed []UID
	for _, e := range m.Snapshot().ChangedSince(since) {
		changed = append(changed, e.UID)
	}
	if !slices.Equal(changed, []UID{1, 2}) {
		t.Error(changed)
	}
	// What changes no message makes no keyword, which the mailbox would have for ever.
	res, err = m.Store(t.Context(), []UID{1, 2, 9}, FlagsAdd, Flags{Keywords: []string{"never"}}, &since)
	if err != nil || !slices.Equal(res.Modified, []UID{1, 2}) || len(m.info.Keywords) != 0 {
		t.Error(res, err, m.info.Keywords)
	}
}

func TestKeywordLimits(t *testing.T) {
	a := newAccount(t)
	m := box(t, a, "INBOX")
	appendTo(t, m, newMsg(text(1), Flags{}))
	var many []string
	for i := range maxKeywords + 1 {
		many = append(many, fmt.Sprint("k", i))
	}
	if _, err := m.Store(t.Context(), []UID{1}, FlagsAdd, Flags{Keywords: many}, nil); !errors.Is(err, ErrLimit) {
		t.Error(err)
	}
	if _, err := m.Store(t.Context(), []UID{1}, FlagsSet, Flags{Keywords: many[:26+maxExtra]}, nil); err != nil {
		t.Error(err)
	}
	if _, err := m.Store(t.Context(), []UID{1}, FlagsSet, Flags{Keywords: many[:27+maxExtra]}, nil); !errors.Is(err, ErrLimit) {
		t.Error(err)
	}
	if got := m.Snapshot().At(0).Flags.Keywords; len(got) != 26+maxExtra {
		t.Error(len(got))
	}
	if got := m.Snapshot().Keywords; len(got) != 26+maxExtra { // what was refused has not been learned
		t.Error(len(got), "keywords of the mailbox")
	}
	archive := box(t, a, "Archive")
	none := Flags{Keywords: many[:27+maxExtra]}
	if _, err := archive.Append(t.Context(), []New{newMsg(text(2), none)}); !errors.Is(err, ErrLimit) {
		t.Error(err)
	}
	if got := archive.Snapshot().Keywords; len(got) != 0 {
		t.Error(len(got), "keywords that no message has")
	}
	mustAgree(t, a)
}

func TestRecentIsClaimedOnce(t *testing.T) {
	a := newAccount(t)
	m := box(t, a, "INBOX")
	deliver(t, a, text(1))
	for _, want := range []UID{1, 2} {
		if first, next, err := m.ClaimRecent(t.Context()); err != nil || first != want || next != m.Snapshot().UIDNext {
			t.Error(first, next, err)
		}
	}
	deliver(t, a, text(2))
	if st := m.Status(); st.Recent != 1 || st.Unseen != 2 {
		t.Errorf("%+v", st)
	}
	if err := m.settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	if dir := filepath.Base(filepath.Dir(fileOf(t, m, 1))); dir != "cur" {
		t.Error("claimed message lies in", dir)
	}
	if dir := filepath.Base(filepath.Dir(fileOf(t, m, 2))); dir != "new" {
		t.Error("new message lies in", dir)
	}
	mustAgree(t, a)
}

// A million claimed messages were moved under one lock: the next SELECT waited two minutes.
func TestClaimedMessagesMoveInBatches(t *testing.T) {
	a := newAccount(t)
	m := box(t, a, "INBOX")
	deliver(t, a, text(1))
	for m.Snapshot().Len() <= settleBatch {
		if _, err := m.Copy(t.Context(), m.Snapshot().UIDs(), m); err != nil {
			t.Fatal(err)
		}
	}
	all := m.Snapshot().Len()
	if _, _, err := m.ClaimRecent(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n, err := m.settleSome(t.Context()); err != nil || n != settleBatch {
		t.Fatal("moved at once:", n, err)
	}
	if err := m.settle(t.Context()); err != nil || m.Snapshot().hasClaimedNew() {
		t.Fatal("claimed messages stay in new:", err)
	}
	if names, err := a.fs.ReadDir("cur"); err != nil || len(names) != all {
		t.Errorf("%d of %d messages lie in cur: %v", len(names), all, err)
	}
	mustAgree(t, a)
}

func TestQuota(t *testing.T) {
	s, err := Open(t.TempDir(), Config{Quota: func(string) Quota { return Quota{Bytes: 1000, Messages: 3} }})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	s.CreateAccount(t.Context(), alice)
	a := testAccount(t, s)
	m := box(t, a, "INBOX")
	if _, err := m.Append(t.Context(), []New{newMsg(strings.Repeat("x", 1001), Flags{})}); !errors.Is(err, ErrOverQuota) {
		t.Error(err)
	}
	appendTo(t, m, newMsg("a: b\r\n\r\n", Flags{System: Deleted}), newMsg("a: b\r\n\r\n", Flags{}))
	if _, err := m.Copy(t.Context(), []UID{1, 2}, m); !errors.Is(err, ErrOverQuota) {
		t.Error(err)
	}
	if err := deliverErr(a, strings.Repeat("x", 990), "INBOX"); !errors.Is(err, ErrOverQuota) {
		t.Error(err)
	}
	if _, err := m.Expunge(t.Context(), nil); err != nil {
		t.Error(err)
	}
	if u, _ := a.Usage(t.Context()); u != (Usage{Bytes: 8, Messages: 1}) {
		t.Errorf("%+v", u)
	}
	if a.reserv != 0 || a.reservedN != 0 {
		t.Error("quota is still set aside")
	}
}

// fullFS is a disk that is full when full says so.
type fullFS struct {
	maildir.FS
	full *bool
}

func (f fullFS) Create(name string) (maildir.File, error) {
	if *f.full {
		return nil, &os.PathError{Op: "open", Path: name, Err: syscall.ENOSPC}
	}
	return f.FS.Create(name)
}

func TestFullDisk(t *testing.T) {
	s := testStore(t, t.TempDir())
	defer s.Close()
	full := false
	s.openFS = func(dir string) (maildir.FS, error) {
		fsys, err := maildir.OpenFS(dir)
		return fullFS{fsys, &full}, err
	}
	a := testAccount(t, s)
	m := box(t, a, "INBOX")
	appendTo(t, m, newMsg(text(1), Flags{System: Deleted}))
	full = true
	if err := deliverErr(a, text(2), "INBOX"); !errors.Is(err, ErrDiskFull) {
		t.Error(err)
	}
	if gone, err := m.Expunge(t.Context(), nil); err != nil || len(gone) != 1 {
		t.Error(gone, err)
	}
	if err := a.DeleteMailbox(t.Context(), "Archive"); err != nil { // which is subscribed
		t.Error(err)
	}
	full = false
	deliver(t, a, text(3))
	mustAgree(t, a)

	s.freeAt.Store(0)
	s.cfg.LowWater = 1 << 62
	if err := deliverErr(a, text(2), "INBOX"); !errors.Is(err, ErrDiskFull) {
		t.Error(err)
	}
}

func TestIdleMailboxLeavesMemory(t *testing.T) {
	a := newAccount(t)
	deliver(t, a, text(1))
	m, err := a.Mailbox(t.Context(), "INBOX")
	if err != nil {
		t.Fatal(err)
	}
	m.Store(t.Context(), []UID{1}, FlagsAdd, Flags{Keywords: []string{"kept"}}, nil)
	before := state(t, a)
	later := time.Now().Add(2 * idleAccount)
	m.unload(later)
	if m.Snapshot() == nil {
		t.Fatal("unloaded while in use")
	}
	m.Release()
	if _, _, err := m.indexSome(t.Context()); err != nil {
		t.Fatal(err)
	}
	a.waitForClock()
	if err := a.flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	m.unload(later)
	if m.Snapshot() != nil {
		t.Fatal("still in memory")
	}
	if after := state(t, a); after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
	mustAgree(t, a)
}

func TestMetadata(t *testing.T) {
	dir := t.TempDir()
	s := testStore(t, dir)
	a := testAccount(t, s)
	for _, name := range []string{"", "INBOX"} {
		if err := a.SetMetadata(t.Context(), name, map[string][]byte{"/Private/Comment": []byte("a\r\n\x00"), "/private/x": {}}); err != nil {
			t.Fatal(err)
		}
		if err := a.SetMetadata(t.Context(), name, map[string][]byte{"/private/x": nil}); err != nil {
			t.Fatal(err)
		}
		if err := a.SetMetadata(t.Context(), name, map[string][]byte{"/private/big": make([]byte, maxMetaBytes)}); !errors.Is(err, ErrLimit) {
			t.Error(err)
		}
	}
	s.Close()
	s = testStore(t, dir)
	defer s.Close()
	a = testAccount(t, s)
	for _, name := range []string{"", "INBOX"} {
		if got, err := a.Metadata(t.Context(), name); err != nil || len(got) != 1 || string(got["/private/comment"]) != "a\r\n\x00" {
			t.Error(got, err)
		}
	}
}

// RFC 7162 3.2, for clients that ask for HIGHESTMODSEQ to know whether anything is new.
func TestMetadataRaisesHighestModSeq(t *testing.T) {
	dir := t.TempDir()
	s := testStore(t, dir)
	a := testAccount(t, s)
	deliver(t, a, text(1))
	before := box(t, a, "INBOX").Snapshot()
	if err := a.SetMetadata(t.Context(), "INBOX", map[string][]byte{"/private/comment": []byte("x")}); err != nil {
		t.Fatal(err)
	}
	after := box(t, a, "INBOX").Snapshot()
	if after.HighestModSeq <= before.HighestModSeq || after.At(0).ModSeq != before.At(0).ModSeq {
		t.Errorf("%d, then %d", before.HighestModSeq, after.HighestModSeq)
	}
	s.Close()
	s = testStore(t, dir)
	defer s.Close()
	if again := box(t, testAccount(t, s), "INBOX").Snapshot(); again.HighestModSeq != after.HighestModSeq {
		t.Errorf("%d, and %d when opened again", after.HighestModSeq, again.HighestModSeq)
	}
}

func TestAccounts(t *testing.T) {
	s := testStore(t, t.TempDir())
	defer s.Close()
	ctx := t.Context()
	odd := "..%/x@b.example"
	if err := s.CreateAccount(ctx, odd); err != nil {
		t.Fatal(err)
	}
	if names, err := s.Accounts(); err != nil || !slices.Equal(names, []string{odd, alice}) {
		t.Fatal(names, err)
	}
	a, err := s.Account(ctx, odd)
	if err != nil {
		t.Fatal(err)
	}
	m := box(t, a, "INBOX")
	deliver(t, a, text(1))
	if err := s.RemoveAccount(ctx, odd); err != nil {
		t.Fatal(err)
	}
	if !m.Gone() {
		t.Error("INBOX is not gone")
	}
	if _, err := s.Account(ctx, odd); !errors.Is(err, ErrNoAccount) {
		t.Error(err)
	}
	if _, err := s.Account(ctx, "no-at"); !errors.Is(err, ErrNoAccount) {
		t.Error(err)
	}
	if names, err := s.Accounts(); err != nil || !slices.Equal(names, []string{alice}) {
		t.Fatal(names, err)
	}
}
