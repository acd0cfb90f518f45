package auth

import (
	"context"
	"crypto/tls"
	"errors"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"facteur/storage/message"
	"facteur/storage/sqlite"
)

// clock is a Now that stands until it is moved.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) Add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

var cheap = HashCost{MemoryKiB: 64, Time: 1, Threads: 1}

// newDirectory opens a Directory with the domain example.org and alice, whose password is "right".
func newDirectory(t testing.TB, cfg Config) (*Directory, *clock) {
	t.Helper()
	c := &clock{t: time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)}
	cfg.Now = c.Now
	if cfg.Hash == (HashCost{}) {
		cfg.Hash = cheap
	}
	d, err := Open(filepath.Join(t.TempDir(), "server.db"), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	must(t, d.AddDomain(t.Context(), Domain{Name: "example.org"}))
	must(t, d.AddAccount(t.Context(), "alice@example.org", "right"))
	return d, c
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantErr(t testing.TB, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("error %v, want %v", err, want)
	}
}

func spec(t testing.TB, s string) message.AddrSpec {
	t.Helper()
	a, err := message.ParseAddrSpec(s)
	must(t, err)
	return a
}

var (
	home1  = netip.MustParseAddr("192.0.2.1")
	away   = netip.MustParseAddr("203.0.113.9")
	viaTLS = &tls.ConnectionState{}
)

func imapFrom(addr netip.Addr) Client { return Client{Addr: addr, Service: IMAP, TLS: viaTLS} }

func TestPasswordTakesTheAddressInAnySpelling(t *testing.T) {
	d, _ := newDirectory(t, Config{})
	must(t, d.AddDomain(t.Context(), Domain{Name: "münchen.example"}))
	must(t, d.AddAccount(t.Context(), "Jörg@münchen.example", "ümlaut"))
	for _, c := range []struct {
		user, password string
		want           string
	}{
		{"alice@example.org", "right", "alice@example.org"},
		{"Alice@EXAMPLE.org", "right", "alice@example.org"},
		{"jörg@münchen.example", "ümlaut", "jörg@xn--mnchen-3ya.example"},
		{"JÖRG@xn--mnchen-3ya.EXAMPLE", "u\u0308mlaut", "jörg@xn--mnchen-3ya.example"},
		{"alice@example.org", "wrong", ""},
		{"alice@example.org", "", ""},
		{"alice", "right", ""}, // two domains: which?
		{"alice+x@example.org", "right", ""},
		{"nobody@example.org", "right", ""},
		{"", "", ""},
	} {
		l, err := d.Password(t.Context(), imapFrom(home1), c.user, c.password)
		if c.want == "" {
			wantErr(t, err, ErrCredentials)
			continue
		}
		must(t, err)
		if l.Account != c.want {
			t.Errorf("%s logged in as %s", c.user, l.Account)
		}
		l.Release()
		l.Release() // twice does no harm
	}
}

func TestLocalPartAloneWithOneDomain(t *testing.T) {
	d, _ := newDirectory(t, Config{})
	l, err := d.Password(t.Context(), imapFrom(home1), "alice", "right")
	must(t, err)
	if l.Account != "alice@example.org" {
		t.Fatal(l.Account)
	}
}

func TestWhatIsWrittenIsThereAfterReopening(t *testing.T) {
	path := filepath.Join(t.TempDir(), "server.db")
	d, err := Open(path, Config{Hash: cheap})
	must(t, err)
	ctx := t.Context()
	must(t, d.AddDomain(ctx, Domain{Name: "Example.ORG.", CatchAll: "alice@example.org"}))
	must(t, d.AddAccount(ctx, "alice@example.org", "pw"))
	must(t, d.UpdateAccount(ctx, Account{Name: "alice@example.org", QuotaBytes: 5, QuotaMessage: 6, SendPerDay: 7, NoCaps: []string{"IDLE", "COMPRESS"}}))
	must(t, d.AddAlias(ctx, Alias{Address: "all@example.org", Targets: []message.AddrSpec{spec(t, "alice@example.org"), spec(t, `"a b"@else.test`)}}))
	salt := d.scramSalt("ghost@example.org")
	must(t, d.Close())

	d, err = Open(path, Config{Hash: cheap})
	must(t, err)
	defer d.Close()
	a, err := d.Account(ctx, "ALICE@example.org")
	must(t, err)
	if a.QuotaBytes != 5 || a.QuotaMessage != 6 || a.SendPerDay != 7 || len(a.NoCaps) != 2 || a.Created.IsZero() {
		t.Errorf("%+v", a)
	}
	doms, err := d.Domains(ctx)
	must(t, err)
	if len(doms) != 1 || doms[0].Name != "example.org" || doms[0].CatchAll != "alice@example.org" {
		t.Errorf("%+v", doms)
	}
	als, err := d.Aliases(ctx)
	must(t, err)
	if len(als) != 1 || als[0].Address != "all@example.org" || len(als[0].Targets) != 2 || als[0].Targets[1].Local != "a b" {
		t.Errorf("%+v", als)
	}
	if string(salt) != string(d.scramSalt("GHOST@example.org")) {
		t.Error("the salt of an unknown user changed with a restart")
	}
	_, err = d.Password(ctx, imapFrom(home1), "alice", "pw")
	must(t, err)
}

func TestWhatCannotBeAdded(t *testing.T) {
	d, _ := newDirectory(t, Config{IgnoreDots: true})
	ctx := t.Context()
	must(t, d.AddAlias(ctx, Alias{Address: "sales@example.org", Targets: []message.AddrSpec{spec(t, "alice@example.org")}}))
	target := []message.AddrSpec{spec(t, "alice@example.org")}
	for what, c := range map[string]struct {
		err  error
		want error
	}{
		"domain twice":           {d.AddDomain(ctx, Domain{Name: "EXAMPLE.org"}), ErrTaken},
		"domain literal":         {d.AddDomain(ctx, Domain{Name: "[192.0.2.1]"}), ErrInvalid},
		"domain with a space":    {d.AddDomain(ctx, Domain{Name: "exa mple.org"}), ErrInvalid},
		"bad catch-all":          {d.AddDomain(ctx, Domain{Name: "other.org", CatchAll: "x"}), ErrInvalid},
		"account twice":          {d.AddAccount(ctx, "Alice@example.org", "x"), ErrTaken},
		"account with dots":      {d.AddAccount(ctx, "al.ice@example.org", "x"), ErrTaken},
		"account over an alias":  {d.AddAccount(ctx, "sales@example.org", "x"), ErrTaken},
		"account elsewhere":      {d.AddAccount(ctx, "bob@elsewhere.test", "x"), ErrNotHosted},
		"account without @":      {d.AddAccount(ctx, "bob", "x"), ErrInvalid},
		"account with quotes":    {d.AddAccount(ctx, `"b ob"@example.org`, "x"), ErrInvalid},
		"no password":            {d.AddAccount(ctx, "bob@example.org", ""), ErrInvalid},
		"password with NUL":      {d.SetPassword(ctx, "alice@example.org", "a\x00b"), ErrInvalid},
		"password of nobody":     {d.SetPassword(ctx, "bob@example.org", "x"), ErrNotFound},
		"alias over an account":  {d.AddAlias(ctx, Alias{Address: "alice@example.org", Targets: target}), ErrTaken},
		"alias twice":            {d.AddAlias(ctx, Alias{Address: "SALES@example.org", Targets: target}), ErrTaken},
		"alias elsewhere":        {d.AddAlias(ctx, Alias{Address: "x@elsewhere.test", Targets: target}), ErrNotHosted},
		"alias to nowhere":       {d.AddAlias(ctx, Alias{Address: "x@example.org"}), ErrInvalid},
		"alias to a null path":   {d.AddAlias(ctx, Alias{Address: "x@example.org", Targets: make([]message.AddrSpec, 1)}), ErrInvalid},
		"domain in use":          {d.RemoveDomain(ctx, "example.org"), ErrInUse},
		"unknown domain":         {d.RemoveDomain(ctx, "other.org"), ErrNotFound},
		"bad catch-all, later":   {d.UpdateDomain(ctx, Domain{Name: "example.org", CatchAll: "x"}), ErrInvalid},
		"unknown domain changed": {d.UpdateDomain(ctx, Domain{Name: "other.org"}), ErrNotFound},
		"unknown account":        {d.RemoveAccount(ctx, "bob@example.org"), ErrNotFound},
		"unknown alias":          {d.RemoveAlias(ctx, "bob@example.org"), ErrNotFound},
		"negative quota":         {d.UpdateAccount(ctx, Account{Name: "alice@example.org", QuotaBytes: -1}), ErrInvalid},
	} {
		if !errors.Is(c.err, c.want) {
			t.Errorf("%s: %v, want %v", what, c.err, c.want)
		}
	}
	must(t, d.RemoveAlias(ctx, "Sales@example.org"))
	must(t, d.RemoveAccount(ctx, "alice@example.org"))
	must(t, d.RemoveDomain(ctx, "Example.org"))
	if d.Hosted("example.org") {
		t.Error("still hosted")
	}
}

func TestSessionsEndWhenTheirLoginIsVoid(t *testing.T) {
	const name = "alice@example.org"
	for what, c := range map[string]struct {
		do            func(ctx context.Context, d *Directory) error
		ends, appEnds bool
	}{
		"password changed": {func(ctx context.Context, d *Directory) error { return d.SetPassword(ctx, name, "new") }, true, false},
		"account disabled": {func(ctx context.Context, d *Directory) error {
			return d.UpdateAccount(ctx, Account{Name: name, Disabled: true})
		}, true, true},
		"account removed": {func(ctx context.Context, d *Directory) error { return d.RemoveAccount(ctx, name) }, true, true},
		"domain disabled": {func(ctx context.Context, d *Directory) error {
			return d.UpdateDomain(ctx, Domain{Name: "example.org", Disabled: true})
		}, true, true},
		"app password revoked":  {func(ctx context.Context, d *Directory) error { return d.RevokeAppPassword(ctx, name, "phone") }, false, true},
		"another account added": {func(ctx context.Context, d *Directory) error { return d.AddAccount(ctx, "bob@example.org", "x") }, false, false},
	} {
		t.Run(what, func(t *testing.T) {
			d, _ := newDirectory(t, Config{})
			secret, err := d.AddAppPassword(t.Context(), AppPassword{Account: name, Name: "phone"})
			must(t, err)
			own, err := d.Password(t.Context(), imapFrom(home1), name, "right")
			must(t, err)
			app, err := d.Password(t.Context(), imapFrom(home1), name, secret)
			must(t, err)
			gone, err := d.Password(t.Context(), imapFrom(home1), name, "right")
			must(t, err)
			gone.Release()
			must(t, c.do(t.Context(), d))
			if revoked(own) != c.ends || revoked(app) != c.appEnds || revoked(gone) {
				t.Errorf("revoked: own %v, app %v, released %v", revoked(own), revoked(app), revoked(gone))
			}
			if len(d.sessions.live) != btoi(!c.ends)+btoi(!c.appEnds) {
				t.Errorf("%d sessions are kept", len(d.sessions.live))
			}
		})
	}
}

func revoked(l *Login) bool {
	select {
	case <-l.Revoked:
		return true
	default:
		return false
	}
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

func TestAppPassword(t *testing.T) {
	d, clock := newDirectory(t, Config{Throttle: true})
	ctx := t.Context()
	p := AppPassword{Account: "ALICE@example.org", Name: "phone", Services: []Service{IMAP, POP3}, Expires: clock.Now().Add(time.Hour)}
	secret, err := d.AddAppPassword(ctx, p)
	must(t, err)
	if len(secret) != 29 {
		t.Errorf("secret %q", secret)
	}
	_, err = d.AddAppPassword(ctx, p)
	wantErr(t, err, ErrTaken)
	_, err = d.AddAppPassword(ctx, AppPassword{Account: "alice@example.org", Name: "x", Services: []Service{"ftp"}})
	wantErr(t, err, ErrInvalid)
	_, err = d.AddAppPassword(ctx, AppPassword{Account: "bob@example.org", Name: "x"})
	wantErr(t, err, ErrNotFound)

	l, err := d.Password(ctx, imapFrom(home1), "alice@example.org", secret)
	must(t, err)
	if l.AppPassword != "phone" {
		t.Errorf("app password %q", l.AppPassword)
	}
	typed := " " + secret[:5] + " " + secret[6:]
	_, err = d.Password(ctx, imapFrom(home1), "alice@example.org", typed)
	must(t, err)
	_, err = d.Password(ctx, Client{Addr: home1, Service: SMTP, TLS: viaTLS}, "alice@example.org", secret)
	wantErr(t, err, ErrCredentials)

	list, err := d.AppPasswords(ctx, "alice@example.org")
	must(t, err)
	if len(list) != 1 || !list[0].LastUsed.Equal(clock.Now()) || list[0].LastFrom != "192.0.2.1" || len(list[0].Services) != 2 {
		t.Errorf("%+v", list)
	}

	clock.Add(time.Hour)
	_, err = d.Password(ctx, imapFrom(home1), "alice@example.org", secret)
	wantErr(t, err, ErrCredentials)
	d.sweep(ctx)
	if !revoked(l) {
		t.Error("the session of an expired app password lives")
	}
	must(t, d.RevokeAppPassword(ctx, "alice@example.org", "phone"))
	wantErr(t, d.RevokeAppPassword(ctx, "alice@example.org", "phone"), ErrNotFound)
}

func TestLastUseSurvivesARestart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "server.db")
	d, err := Open(path, Config{Hash: cheap})
	must(t, err)
	must(t, d.AddDomain(t.Context(), Domain{Name: "example.org"}))
	must(t, d.AddAccount(t.Context(), "alice@example.org", "pw"))
	secret, err := d.AddAppPassword(t.Context(), AppPassword{Account: "alice", Name: "phone"})
	must(t, err)
	_, err = d.Password(t.Context(), imapFrom(home1), "alice", secret)
	must(t, err)
	must(t, d.Close())
	d, err = Open(path, Config{Hash: cheap})
	must(t, err)
	defer d.Close()
	list, err := d.AppPasswords(t.Context(), "alice")
	must(t, err)
	if len(list) != 1 || list[0].LastUsed.IsZero() {
		t.Fatalf("%+v", list)
	}
}

func TestRightPasswordIsRememberedUntilItChanges(t *testing.T) {
	d, clock := newDirectory(t, Config{})
	login := func(pw string) error {
		l, err := d.Password(t.Context(), imapFrom(home1), "alice", pw)
		if err == nil {
			l.Release()
		}
		return err
	}
	must(t, login("right"))
	for range cap(d.hash.slots) { // no hash can be made now
		d.hash.slots <- struct{}{}
	}
	must(t, login("right"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := d.Password(ctx, imapFrom(home1), "alice", "wrong"); !errors.Is(err, context.Canceled) {
		t.Fatalf("a wrong password was answered without its hash: %v", err)
	}
	if _, err := d.Password(ctx, imapFrom(home1), "nobody", "wrong"); !errors.Is(err, context.Canceled) {
		t.Fatalf("an unknown user was answered without a hash: %v", err)
	}
	clock.Add(recentFor)
	if _, err := d.Password(ctx, imapFrom(home1), "alice", "right"); !errors.Is(err, context.Canceled) {
		t.Fatalf("remembered for too long: %v", err)
	}
	for range cap(d.hash.slots) {
		<-d.hash.slots
	}
	must(t, login("right"))
	must(t, d.SetPassword(t.Context(), "alice", "new"))
	wantErr(t, login("right"), ErrCredentials)
	must(t, login("new"))
	must(t, d.UpdateAccount(t.Context(), Account{Name: "alice@example.org", Disabled: true}))
	wantErr(t, login("new"), ErrCredentials)
}

func TestHashIsRenewedWhenItsCostChanges(t *testing.T) {
	path := filepath.Join(t.TempDir(), "server.db")
	d, err := Open(path, Config{Hash: cheap})
	must(t, err)
	must(t, d.AddDomain(t.Context(), Domain{Name: "example.org"}))
	must(t, d.AddAccount(t.Context(), "alice@example.org", "pw"))
	must(t, d.Close())
	dearer := HashCost{MemoryKiB: 128, Time: 2, Threads: 1}
	d, err = Open(path, Config{Hash: dearer})
	must(t, err)
	defer d.Close()
	l, err := d.Password(t.Context(), imapFrom(home1), "alice", "pw")
	must(t, err)
	cost, _, _, err := parsePHC(d.snap.Load().user("alice").hash)
	must(t, err)
	if cost != dearer || revoked(l) {
		t.Fatalf("cost %v, revoked %v", cost, revoked(l))
	}
}

// An unknown user costs what a known one does: a hash of the same cost.
func TestUnknownUsersHashCosts(t *testing.T) {
	h := newHasher(cheap)
	cost, salt, key, err := parsePHC(h.dummy)
	if err != nil || cost != cheap || len(salt) != hashSaltLen || len(key) != hashKeyLen {
		t.Errorf("%+v, %d, %d, %v", cost, len(salt), len(key), err)
	}
	if ok, stale, err := h.verify(t.Context(), "", h.dummy, func() bool { return false }); ok || stale || err != nil {
		t.Error(ok, stale, err)
	}
}

func TestPHC(t *testing.T) {
	h := newHasher(cheap)
	good, err := h.hash(t.Context(), "x")
	must(t, err)
	known := false
	remembered := func() bool { return known }
	if ok, stale, err := h.verify(t.Context(), "x", good, remembered); !ok || stale || err != nil {
		t.Fatal(ok, stale, err)
	}
	if ok, _, err := h.verify(t.Context(), "y", good, remembered); ok || err != nil {
		t.Fatal(ok, err)
	}
	known = true // while we waited for our turn: nothing is hashed again
	if ok, stale, err := h.verify(t.Context(), "y", good, remembered); !ok || stale || err != nil {
		t.Fatal(ok, stale, err)
	}
	for _, bad := range []string{
		"", "x", "$argon2i$v=19$m=64,t=1,p=1$AAAA$AAAA", "$argon2id$v=18$m=64,t=1,p=1$AAAA$AAAAAAAAAAAAAAAAAAAAAAAA",
		"$argon2id$v=19$m=99999999,t=1,p=1$AAAA$AAAAAAAAAAAAAAAAAAAAAAAA", "$argon2id$v=19$m=64,t=0,p=1$AAAA$AAAAAAAAAAAAAAAAAAAAAAAA",
		"$argon2id$v=19$m=64,t=1,p=1$AAAA$", "$argon2id$v=19$m=64,t=1,p=1$!$AAAAAAAAAAAAAAAAAAAAAAAA",
	} {
		if _, _, err := h.verify(t.Context(), "x", bad, remembered); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

func BenchmarkResolve(b *testing.B) {
	d, _ := newDirectory(b, Config{})
	to := spec(b, "alice+shop@example.org")
	for b.Loop() {
		if _, err := d.Resolve(b.Context(), to); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkPasswordRemembered(b *testing.B) {
	d, _ := newDirectory(b, Config{})
	for b.Loop() {
		l, err := d.Password(b.Context(), imapFrom(home1), "alice", "right")
		if err != nil {
			b.Fatal(err)
		}
		l.Release()
	}
}

// A damaged row is told by its name, whatever else depends on it.
func TestDamagedAccountIsNamed(t *testing.T) {
	d, _ := newDirectory(t, Config{})
	_, err := d.AddAppPassword(t.Context(), AppPassword{Account: "alice@example.org", Name: "phone"})
	must(t, err)
	must(t, d.db.Write(t.Context(), func(tx *sqlite.Tx) error {
		_, err := tx.Exec("UPDATE accounts SET scram=x'00'")
		return err
	}))
	if err := d.reload(t.Context()); err == nil || !strings.Contains(err.Error(), "alice@example.org") {
		t.Errorf("got %v", err)
	}
}
