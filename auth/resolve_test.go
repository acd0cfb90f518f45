package auth

import (
	"errors"
	"strings"
	"testing"

	"facteur/storage/message"
)

// village is a Directory with something of everything.
func village(t testing.TB, cfg Config) *Directory {
	d, _ := newDirectory(t, cfg)
	ctx := t.Context()
	for _, dom := range []Domain{
		{Name: "münchen.example"},
		{Name: "catch.example", CatchAll: "alice@example.org"},
		{Name: "loop.example", CatchAll: "x@loop.example"},
		{Name: "away.example", CatchAll: "me@elsewhere.test"},
		{Name: "closed.example", Disabled: true},
		{Name: "empty.example"},
	} {
		must(t, d.AddDomain(ctx, dom))
	}
	for _, name := range []string{
		"bob@example.org", "mary@example.org", "mary-jane@example.org", "j.doe@example.org", "out@example.org",
		"jörg@münchen.example", "u@catch.example", "abuse@catch.example", "u@closed.example",
	} {
		must(t, d.AddAccount(ctx, name, "x"))
	}
	must(t, d.UpdateAccount(ctx, Account{Name: "out@example.org", Disabled: true}))
	for address, targets := range map[string]string{
		"sales@example.org":  "alice@example.org bob@example.org",
		"team@example.org":   "sales@example.org mary@example.org boss@elsewhere.test bob@example.org",
		"shop@example.org":   "alice+orders@example.org",
		"fwd@example.org":    "me@elsewhere.test ME@Elsewhere.test",
		"a@loop.example":     "b@loop.example",
		"b@loop.example":     "a@loop.example",
		"c@loop.example":     "c@loop.example bob@example.org",
		"dead@example.org":   "nobody@example.org",
		"half@example.org":   "nobody@example.org alice@example.org",
		"left@example.org":   "out@example.org",
		"closed@example.org": "u@closed.example",
	} {
		al := Alias{Address: address}
		for f := range strings.FieldsSeq(targets) {
			al.Targets = append(al.Targets, spec(t, f))
		}
		must(t, d.AddAlias(ctx, al))
	}
	return d
}

func TestResolve(t *testing.T) {
	d := village(t, Config{Separators: "+-"})
	for to, want := range map[string]string{
		"alice@example.org":             "alice@example.org",
		"ALICE@Example.ORG":             "alice@example.org",
		`"alice"@example.org`:           "alice@example.org",
		"alice+shop@example.org":        "alice@example.org(shop)",
		"alice+Shop+2@example.org":      "alice@example.org(Shop+2)",
		"alice+@example.org":            "alice@example.org",
		"+alice@example.org":            "no user",
		"mary-jane@example.org":         "mary-jane@example.org",
		"mary-jane-shop@example.org":    "mary-jane@example.org(shop)",
		"mary-ann@example.org":          "mary@example.org(ann)",
		"j.doe@example.org":             "j.doe@example.org",
		"jdoe@example.org":              "no user",
		"nobody@example.org":            "no user",
		"nobody+x@example.org":          "no user",
		"sales@example.org":             "alice@example.org bob@example.org",
		"sales+q1@example.org":          "alice@example.org(q1) bob@example.org(q1)",
		"shop@example.org":              "alice@example.org(orders)",
		"shop+x@example.org":            "alice@example.org(orders)",
		"team@example.org":              "alice@example.org bob@example.org mary@example.org -> boss@elsewhere.test",
		"fwd@example.org":               "-> me@elsewhere.test",
		"a@loop.example":                "no user",
		"c@loop.example":                "bob@example.org",
		"unknown@loop.example":          "no user",
		"dead@example.org":              "no user",
		"half@example.org":              "alice@example.org",
		"out@example.org":               "disabled",
		"left@example.org":              "disabled",
		"closed@example.org":            "disabled",
		"u@closed.example":              "disabled",
		"postmaster@closed.example":     "disabled",
		"jörg@münchen.example":          "jörg@xn--mnchen-3ya.example",
		"JÖRG@XN--MNCHEN-3YA.example":   "jörg@xn--mnchen-3ya.example",
		"jo\u0308rg@münchen.example":    "jörg@xn--mnchen-3ya.example",
		"u@catch.example":               "u@catch.example",
		"whatever@catch.example":        "alice@example.org",
		"whatever+x@catch.example":      "alice@example.org",
		"any@away.example":              "-> me@elsewhere.test",
		"postmaster@example.org":        "alice@example.org",
		"PostMaster+x@example.org":      "alice@example.org(x)",
		"abuse@example.org":             "alice@example.org",
		"postmaster@catch.example":      "u@catch.example",
		"abuse@catch.example":           "abuse@catch.example",
		"postmaster@empty.example":      "alice@example.org",
		"postmaster@münchen.example":    "jörg@xn--mnchen-3ya.example",
		"alice@elsewhere.test":          "not hosted",
		"alice%example.org@else.test":   "not hosted",
		"alice%else.test@example.org":   "no user",
		`"alice@else.test"@example.org`: "no user",
		"alice@[192.0.2.1]":             "not hosted",
		"alice@sub.example.org":         "not hosted",
	} {
		r, err := d.Resolve(t.Context(), spec(t, to))
		if got := describe(r, err); got != want {
			t.Errorf("%s: %s, want %s", to, got, want)
		}
	}
}

func TestCatchAllCanBeChangedAndRemoved(t *testing.T) {
	d := village(t, Config{})
	for _, step := range []struct{ catchAll, want string }{
		{"Bob@Example.ORG", "bob@example.org"},
		{"me@elsewhere.test", "-> me@elsewhere.test"},
		{"", "no user"},
		{"alice@example.org", "alice@example.org"},
	} {
		must(t, d.UpdateDomain(t.Context(), Domain{Name: "Catch.example", CatchAll: step.catchAll}))
		r, err := d.Resolve(t.Context(), spec(t, "whatever@catch.example"))
		if got := describe(r, err); got != step.want {
			t.Errorf("catch-all %q: %s, want %s", step.catchAll, got, step.want)
		}
	}
}

func describe(r Resolution, err error) string {
	switch {
	case errors.Is(err, ErrNoUser):
		return "no user"
	case errors.Is(err, ErrNotHosted):
		return "not hosted"
	case errors.Is(err, ErrDisabled):
		return "disabled"
	case err != nil:
		return err.Error()
	}
	var words []string
	for _, a := range r.Accounts {
		if a.Detail != "" {
			a.Account += "(" + a.Detail + ")"
		}
		words = append(words, a.Account)
	}
	if len(r.Remote) > 0 {
		words = append(words, "->")
	}
	for _, a := range r.Remote {
		words = append(words, a.String())
	}
	return strings.Join(words, " ")
}

func TestPostmasterWithoutADomain(t *testing.T) {
	d := village(t, Config{})
	to := spec(t, "Postmaster@example.org")
	to.Domain = ""
	r, err := d.Resolve(t.Context(), to)
	if got := describe(r, err); got != "alice@example.org" {
		t.Error(got)
	}
	to.Local = "alice"
	_, err = d.Resolve(t.Context(), to)
	wantErr(t, err, ErrNotHosted)
}

// The owner may want none.
func TestNoSubaddresses(t *testing.T) {
	d := village(t, Config{})
	_, err := d.Resolve(t.Context(), spec(t, "alice+shop@example.org"))
	wantErr(t, err, ErrNoUser)
}

func TestDotsIgnored(t *testing.T) {
	d := village(t, Config{IgnoreDots: true, Separators: "+"})
	for _, to := range []string{"jdoe@example.org", "J.D.o.e@example.org", "jd.oe+x@example.org"} {
		r, err := d.Resolve(t.Context(), spec(t, to))
		if got := describe(r, err); !strings.HasPrefix(got, "j.doe@example.org") {
			t.Errorf("%s: %s", to, got)
		}
	}
	if r, err := d.Resolve(t.Context(), spec(t, "u@catch.exam.ple")); !errors.Is(err, ErrNotHosted) {
		t.Errorf("dots of the domain: %v", r)
	}
}

func TestOldestLiveAccountKeepsTheRoles(t *testing.T) {
	d := village(t, Config{})
	must(t, d.UpdateAccount(t.Context(), Account{Name: "alice@example.org", Disabled: true}))
	r, err := d.Resolve(t.Context(), spec(t, "postmaster@example.org"))
	if got := describe(r, err); got != "bob@example.org" {
		t.Error(got)
	}
}

func TestHosted(t *testing.T) {
	d := village(t, Config{})
	for name, want := range map[string]bool{
		"example.org": true, "EXAMPLE.ORG.": true, "münchen.example": true, "MÜNCHEN.example": true, "xn--mnchen-3ya.example": true,
		"closed.example": true, "sub.example.org": false, "org": false, "": false, "exam ple.org": false,
	} {
		if d.Hosted(name) != want {
			t.Errorf("%q: %v", name, !want)
		}
	}
}

func TestMaySendAs(t *testing.T) {
	d := village(t, Config{Separators: "+"})
	for _, c := range []struct {
		account, from string
		want          bool
	}{
		{"alice@example.org", "alice@example.org", true},
		{"Alice@example.org", "ALICE+news@EXAMPLE.org", true},
		{"alice@example.org", "sales@example.org", true},
		{"alice@example.org", "team@example.org", true},
		{"alice@example.org", "any@catch.example", true},
		{"alice@example.org", "postmaster@example.org", true},
		{"alice@example.org", "bob@example.org", false},
		{"bob@example.org", "shop@example.org", false},
		{"alice@example.org", "alice@elsewhere.test", false},
		{"alice@example.org", "nobody@example.org", false},
		{"out@example.org", "out@example.org", false},
		{"u@closed.example", "u@closed.example", false},
		{"nobody@example.org", "nobody@example.org", false},
		{"jörg@münchen.example", "jörg@xn--mnchen-3ya.example", true},
	} {
		got, err := d.MaySendAs(t.Context(), c.account, spec(t, c.from))
		if got != c.want || err != nil {
			t.Errorf("%s as %s: %v, %v", c.account, c.from, got, err)
		}
	}
	if got, _ := d.MaySendAs(t.Context(), "alice@example.org", message.AddrSpec{}); got {
		t.Error("the null reverse-path is alice's")
	}
}

// Reports come from postmaster at the server's name, which need not be hosted: answers to them were refused.
func TestPostmasterOfTheServerWasRefused(t *testing.T) {
	d, _ := newDirectory(t, Config{Hostname: "mail.example.org"})
	must(t, d.AddAccount(t.Context(), "zoe@example.org", "x"))
	for _, to := range []string{"Postmaster@mail.example.org", "postmaster@MAIL.example.org", "abuse@mail.example.org"} {
		r, err := d.Resolve(t.Context(), spec(t, to))
		if err != nil || len(r.Accounts) != 1 {
			t.Errorf("%s: %v, %v", to, r, err)
		}
	}
	for _, to := range []string{"zoe@mail.example.org", "postmaster@other.example.org"} {
		if _, err := d.Resolve(t.Context(), spec(t, to)); !errors.Is(err, ErrNotHosted) {
			t.Errorf("%s: %v", to, err)
		}
	}
	must(t, d.AddDomain(t.Context(), Domain{Name: "mail.example.org"}))
	must(t, d.AddAccount(t.Context(), "own@mail.example.org", "x"))
	if r, err := d.Resolve(t.Context(), spec(t, "postmaster@mail.example.org")); err != nil || r.Accounts[0].Account != "own@mail.example.org" {
		t.Errorf("hosted: %v, %v", r, err)
	}
}
