package queue

import (
	"context"
	"errors"
	"flag"
	"mime"
	"mime/multipart"
	"net/mail"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"facteur/mta"
	"facteur/storage/message"
)

var update = flag.Bool("update", false, "write the golden files of DSNs anew")

// original is the message that the golden reports are about.
func original(from string, utf8 bool) *mta.Message {
	m := &mta.Message{ID: "original00000001", Arrived: time.Date(2026, 3, 14, 15, 9, 26, 0, time.UTC)}
	if from != "" {
		m.Env.MailFrom = addr(from)
	}
	m.Env.UTF8 = utf8
	m.Peer = mta.Peer{Hello: "laptop.home.test", Login: "alice@home.test"}
	m.Prefix = []byte("Received: from laptop by mail.home.test; Sat, 14 Mar 2026 15:09:26 +0000\r\n")
	m.Body = mta.BodyBytes([]byte("From: Alice <" + from + ">\r\nTo: bob@x.test\r\nSubject: Lunch\r\nMessage-ID: <lunch@home.test>\r\n\r\nAt noon?\r\n"))
	return m
}

func fate(action Action, to string, code int, enhanced [3]int, text string) Fate {
	r := mta.Result{To: mta.Recipient{Address: addr(to)}, RemoteMTA: "mx.x.test", Err: mta.NewReply(code, enhanced, "%s", text)}
	r.Err.Quoted = true
	f := fateOf(r)
	f.Action = action
	return f
}

func TestReportsAreAsTheGoldenFilesSay(t *testing.T) {
	now := time.Date(2026, 3, 14, 15, 10, 0, 0, time.UTC)
	expired := fate(ActionFailed, "bob@x.test", 451, [3]int{4, 4, 1}, "No server of x.test can be reached")
	expired.Remote, expired.given = "", true
	orcpt := fate(ActionFailed, "robert@x.test", 550, [3]int{5, 1, 1}, "No such user here.\nReally not.")
	orcpt.recipient.ORCPT = "rfc822;bob@old.test"
	international := fate(ActionFailed, "δοκιμή@παράδειγμα.test", 550, [3]int{5, 1, 1}, "άγνωστος")
	international.recipient.ORCPT = "utf-8;δοκιμή@παράδειγμα.test"
	delivered := Fate{Action: ActionDelivered, recipient: mta.Recipient{Address: addr("carol@home.test")}}
	relayed := Fate{Action: ActionRelayed, Remote: "mx.x.test", Reply: "250 2.0.0 queued", recipient: mta.Recipient{Address: addr("bob@x.test")}}
	relayed.reply = &mta.Reply{Code: 250, Enhanced: [3]int{2, 0, 0}, Text: "queued", Quoted: true}
	lost := fate(ActionFailed, "bob@x.test", 554, [3]int{5, 3, 0}, "The message was lost on this server's disk")
	lost.Remote = ""
	headers := original("alice@home.test", false)
	headers.Env.Return, headers.Env.ENVID = mta.ReturnHeaders, "QQ314159"
	week := original("alice@home.test", false)
	week.Arrived = now.Add(-5 * 24 * time.Hour)

	for name, r := range map[string]report{
		"failed":        {original: original("alice@home.test", false), fates: []Fate{orcpt, fate(ActionFailed, "bob@y.test", 552, [3]int{5, 2, 2}, "mailbox full")}},
		"headers":       {original: headers, fates: []Fate{fate(ActionFailed, "bob@x.test", 550, [3]int{}, "no")}},
		"expired":       {original: week, fates: []Fate{expired}},
		"delayed":       {original: original("alice@home.test", false), fates: []Fate{fate(ActionDelayed, "bob@x.test", 451, [3]int{4, 7, 1}, "greylisted")}},
		"success":       {original: original("alice@home.test", false), fates: []Fate{delivered, relayed}},
		"lost":          {original: original("alice@home.test", false), lost: true, fates: []Fate{lost}},
		"international": {original: original("αλίκη@home.test", true), fates: []Fate{international}},
	} {
		t.Run(name, func(t *testing.T) {
			r.now, r.giveUp = now, now.Add(5*24*time.Hour)
			r.id, r.hostname, r.postmaster = "dsn0000000000001", "mail.home.test", addr("postmaster@home.test")
			got, err := r.bytes()
			if err != nil {
				t.Fatal(err)
			}
			checkReport(t, got, map[bool]int{false: 3, true: 2}[r.lost])
			file := filepath.Join("testdata", "dsn", name+".eml")
			if *update {
				if err := os.WriteFile(file, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != string(want) {
				t.Errorf("differs from %s:\n%s", file, got)
			}
		})
	}
}

// TestReportQuotesOnlyWhatAServerSaid: what we say of a connection with it are our words (RFC 3464 2.3.5, 2.3.6).
func TestReportQuotesOnlyWhatAServerSaid(t *testing.T) {
	r := report{original: original("alice@home.test", false), now: time.Now(), hostname: "mail.home.test", postmaster: addr("postmaster@home.test")}
	lost := fate(ActionFailed, "bob@x.test", 451, [3]int{4, 4, 2}, "Connection with mx.x.test was lost")
	lost.reply.Quoted = false
	r.fates = []Fate{lost}
	octets, err := r.bytes()
	if err != nil {
		t.Fatal(err)
	}
	got := string(octets)
	if strings.Contains(got, "Remote-MTA") || strings.Contains(got, "said:") || !strings.Contains(got, "Diagnostic-Code: x-facteur; 451 4.4.2") {
		t.Errorf("our words are the server's:\n%s", got)
	}
}

// TestReportHasNoLineOverTheLimit, whatever the other server says in one word (RFC 5322 2.1.1).
func TestReportHasNoLineOverTheLimit(t *testing.T) {
	r := report{original: original("alice@home.test", true), now: time.Now(), hostname: "mail.home.test", postmaster: addr("postmaster@home.test")}
	r.fates = []Fate{fate(ActionFailed, "bob@x.test", 550, [3]int{5, 7, 1}, "see https://x.test/"+strings.Repeat("é", 2000))}
	octets, err := r.bytes()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.SplitSeq(string(octets), "\r\n") {
		if len(line) > 998 {
			t.Errorf("%d octets: %.40q", len(line), line)
		}
	}
}

// TestReportOfRequireTLSReturnsNoBody, also where the sender asked for one (RFC 8689 5).
func TestReportOfRequireTLSReturnsNoBody(t *testing.T) {
	m := original("alice@home.test", false)
	m.Env.RequireTLS, m.Env.Return = true, mta.ReturnFull
	r := report{original: m, fates: []Fate{fate(ActionFailed, "bob@x.test", 550, [3]int{5, 1, 1}, "no")}}
	if octets, kind, err := r.returned(); err != nil || kind != "text/rfc822-headers" || strings.Contains(string(octets), "At noon?") {
		t.Errorf("%s %q, %v", kind, octets, err)
	}
}

// checkReport reads a report with the standard library's parsers: so many parts
// must be there, with fields that end with CRLF.
func checkReport(t testing.TB, octets []byte, want int) {
	t.Helper()
	if strings.Contains(strings.ReplaceAll(string(octets), "\r\n", ""), "\n") {
		t.Error("a bare LF in the report")
	}
	m, err := mail.ReadMessage(strings.NewReader(string(octets)))
	if err != nil {
		t.Fatalf("report: %v\n%s", err, octets)
	}
	kind, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/report" || params["report-type"] != "delivery-status" {
		t.Fatalf("Content-Type: %q, %v", m.Header.Get("Content-Type"), err)
	}
	parts := multipart.NewReader(m.Body, params["boundary"])
	n := 0
	for ; ; n++ {
		if _, err := parts.NextPart(); err != nil {
			break
		}
	}
	if n != want {
		t.Errorf("%d parts, want %d", n, want)
	}
}

func TestNotifyDecidesWhoIsTold(t *testing.T) {
	for _, tt := range []struct {
		name   string
		notify mta.Notify
		answer *mta.Reply
		remote string
		relay  bool
		want   string // action of the report; empty: none
	}{
		{"failure is told by default", 0, mta.NewReply(550, [3]int{5, 1, 1}, "no"), "mx.test", false, "failed"},
		{"never", mta.NotifyNever, mta.NewReply(550, [3]int{5, 1, 1}, "no"), "mx.test", false, ""},
		{"success only", mta.NotifySuccess, mta.NewReply(550, [3]int{5, 1, 1}, "no"), "mx.test", false, ""},
		{"success is not told by default", 0, nil, "", false, ""},
		{"delivered here", mta.NotifySuccess, nil, "", false, "delivered"},
		{"relayed to a server without DSN", mta.NotifySuccess, nil, "mx.test", true, "relayed"},
		{"sent on by an alias, so not delivered", mta.NotifySuccess, nil, "", true, "relayed"},
		{"sent on by an alias to several", mta.NotifySuccess, nil, "", false, "expanded"},
		{"passed to a server with DSN", mta.NotifySuccess, nil, "mx.test", false, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				home := &peer{}
				away := &peer{answer: func(*mta.Message, mta.Recipient) mta.Result {
					return mta.Result{Err: tt.answer, RemoteMTA: tt.remote, Relayed: tt.relay, Expanded: tt.want == "expanded"}
				}}
				q := open(t, t.TempDir(), testConfig(t, map[string]Transport{"home.test": home, "*": away}))
				defer running(t, q)()
				m := newMail("a@home.test", "b@x.test")
				m.Env.To[0].Notify = tt.notify
				add(t, q, m)
				synctest.Wait()
				got := home.seen()
				if tt.want == "" {
					if len(got) != 0 {
						t.Errorf("a report came: %+v", got)
					}
					return
				}
				if len(got) != 1 {
					t.Fatalf("%d reports", len(got))
				}
				b, _ := got[0].m.Body.Bytes()
				if !strings.Contains(string(b), "\r\nAction: "+tt.want+"\r\n") {
					t.Errorf("no %q in\n%s", tt.want, b)
				}
				if r, err := q.Show(context.Background(), m.ID); err != nil || r.Events[0].Notice != got[0].id {
					t.Errorf("the history does not name the report: %+v, %v", r, err)
				}
			})
		})
	}
}

func TestReportIsSignedOrGoesOutWithout(t *testing.T) {
	for _, fault := range []error{nil, errors.New("no key")} {
		synctest.Test(t, func(t *testing.T) {
			home, away := &peer{}, &peer{answer: failWith(550, [3]int{5, 1, 1}, "no")}
			cfg := testConfig(t, map[string]Transport{"*": away, "home.test": home})
			cfg.Sign = func(_ context.Context, from message.AddrSpec, _ *mta.Message) ([]byte, error) {
				return []byte("DKIM-Signature: d=" + from.Domain + "\r\n"), fault
			}
			q := open(t, t.TempDir(), cfg)
			defer running(t, q)()
			add(t, q, newMail("a@home.test", "b@x.test"))
			synctest.Wait()
			want := "DKIM-Signature: d=home.test\r\n"
			if fault != nil {
				want = ""
			}
			if got := home.seen(); len(got) != 1 || string(got[0].m.Prefix) != want {
				t.Errorf("signing gave %v: reports %+v", fault, got)
			}
		})
	}
}

func FuzzReportAddresses(f *testing.F) {
	f.Add("rfc822;bob@example.org", "bob", "x.test", false)
	f.Add("utf-8;δ@π.test", "δ\r\nBcc: x", "π.test", true)
	f.Add(";;\r\n\x00", "\"", "[192.0.2.1]", true)
	f.Fuzz(func(t *testing.T, orcpt, local, domain string, utf8 bool) {
		if len(orcpt)+len(local)+len(domain) > 2000 {
			return // the parsers of SMTP let no more in
		}
		r := report{original: original("alice@home.test", utf8), hostname: "mail.home.test", id: "x", now: time.Unix(0, 0), giveUp: time.Unix(0, 0)}
		r.fates = []Fate{{Action: ActionFailed, Reply: orcpt, recipient: mta.Recipient{Address: message.AddrSpec{Local: local, Domain: domain}, ORCPT: orcpt}}}
		fields := r.fields()
		for line := range strings.SplitSeq(strings.TrimSuffix(fields, "\r\n"), "\r\n") {
			if line != "" && line[0] != ' ' && !strings.Contains(line, ": ") || strings.ContainsAny(line, "\r\n\x00") {
				t.Errorf("a line that is no field: %q in\n%s", line, fields)
			}
		}
		if strings.Count(fields, "\r\n\r\n") != 1 {
			t.Errorf("groups of fields: %q", fields)
		}
		if !utf8 && !isASCII(fields) {
			t.Errorf("not ASCII: %q", fields)
		}
	})
}
