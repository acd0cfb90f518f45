package imap

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"facteur/auth"
	"facteur/storage"
	"facteur/test/loopback"
)

// testTLS returns a server's configuration with a certificate of its own.
func testTLS(t testing.TB) *tls.Config {
	t.Helper()
	cfg, _ := loopback.Certificate(t, "localhost")
	return cfg
}

func TestStartTLS(t *testing.T) {
	h := newHouse(t, func(c *Config) { c.TLS, c.PlainAuth = testTLS(t), false })
	c := h.dial()
	caps := c.ok("CAPABILITY")[0]
	if !strings.Contains(caps, " STARTTLS") || !strings.Contains(caps, " LOGINDISABLED") || strings.Contains(caps, "AUTH=") {
		t.Errorf("in the clear: %s", caps)
	}
	if _, tagged := c.do("LOGIN " + alice + " secret"); !strings.HasPrefix(tagged, "NO [PRIVACYREQUIRED]") {
		t.Errorf("LOGIN in the clear: %s", tagged)
	}
	if _, tagged := c.do("AUTHENTICATE PLAIN"); !strings.HasPrefix(tagged, "NO [PRIVACYREQUIRED]") {
		t.Errorf("AUTHENTICATE in the clear: %s", tagged)
	}
	c.ok("STARTTLS")
	c.startTLS()
	caps = c.ok("CAPABILITY")[0]
	if strings.Contains(caps, "STARTTLS") || !strings.Contains(caps, "AUTH=PLAIN") {
		t.Errorf("over TLS: %s", caps)
	}
	c.ok("LOGIN " + alice + " secret")
	c.ok("SELECT INBOX")
}

// What stands behind STARTTLS in the clear may be somebody else's: the session ends.
func TestPlaintextBehindStartTLS(t *testing.T) {
	h := newHouse(t, func(c *Config) { c.TLS = testTLS(t) })
	c := h.dial()
	c.send("a STARTTLS\r\nb NOOP\r\n")
	if got := c.read(); !strings.HasPrefix(got, "* BYE") {
		t.Errorf("got %s", got)
	}
	c.ended()
}

// slowConn counts the deadlines that its writes get.
type slowConn struct {
	net.Conn
	deadlines, written int
}

func (c *slowConn) SetWriteDeadline(time.Time) error { c.deadlines++; return nil }
func (c *slowConn) Write(p []byte) (int, error)      { c.written += len(p); return len(p), nil }

// A slow line must not lose its session to a SEARCH response of eight megabytes.
func TestLargeResponseHasMoreThanOneDeadline(t *testing.T) {
	slow := &slowConn{}
	const size = 8 << 20
	n, err := deadlineWriter{&conn{net: slow}}.Write(make([]byte, size))
	if n != size || slow.written != size || err != nil {
		t.Errorf("wrote %d and %d, %v", n, slow.written, err)
	}
	if slow.deadlines < 100 {
		t.Errorf("%d deadlines", slow.deadlines)
	}
}

// However many messages one APPEND brings, it holds a megabyte of them in memory and the rest
// in one file.
func TestMultiAppendIsHeldInLittleMemory(t *testing.T) {
	h := newHouse(t, nil)
	up := &upload{s: &session{conn: &conn{srv: h.srv}}}
	defer up.discard()
	var want []string
	var readers []io.Reader
	for i := range 40 {
		text := strings.Repeat(string(rune('A'+i)), 100_000+i)
		body := &spool{u: up}
		for part := range slices.Chunk([]byte(text), 30_000) {
			if _, err := body.Write(part); err != nil {
				t.Fatal(err)
			}
		}
		want, readers = append(want, text), append(readers, body.done())
	}
	if up.memory > spoolAt {
		t.Errorf("%d octets are in memory", up.memory)
	}
	for i, r := range readers {
		if got, err := io.ReadAll(r); string(got) != want[i] || err != nil {
			t.Errorf("message %d of %d octets came back as %d, %v", i, len(want[i]), len(got), err)
		}
	}
}

// The flags and dates of all messages of an APPEND were to fit into the line of one command.
func TestMultiAppendOfManyMessages(t *testing.T) {
	c := newHouse(t, nil).login()
	const n = 600
	message := fmt.Sprintf(" (\\Seen %s) \"01-Feb-2026 10:00:00 +0000\" {1+}\r\nx", strings.Repeat("k", 128))
	_, tagged := c.do("APPEND INBOX" + strings.Repeat(message, n))
	if !strings.HasPrefix(tagged, "OK [APPENDUID ") || !strings.Contains(tagged, fmt.Sprintf(" 1:%d]", n)) {
		t.Errorf("%d messages of %d octets of flags and date: %s", n, len(message)-1, tagged)
	}
}

// What a client hears of the longest value is true.
func TestLongestMetadata(t *testing.T) {
	c := newHouse(t, nil).login()
	for _, tt := range []struct {
		size int
		want string
	}{
		{maxMetadata, "OK "}, {maxMetadata + 1, "NO [METADATA MAXSIZE 61440]"}, {1 << 20, "NO [METADATA MAXSIZE 61440]"},
	} {
		command := fmt.Sprintf("SETMETADATA INBOX (/private/long {%d+}\r\n%s)", tt.size, strings.Repeat("x", tt.size))
		if _, tagged := c.do(command); !strings.HasPrefix(tagged, tt.want) {
			t.Errorf("%d octets: %s", tt.size, tagged)
		}
	}
	if got := c.ok("GETMETADATA INBOX /private/long")[0]; len(got) < maxMetadata {
		t.Errorf("the value came back as %.100s", got)
	}
}

// Clients pipeline; the commands behind DONE are no exception (Apple TN3191).
func TestPipelining(t *testing.T) {
	h := newHouse(t, nil)
	c := h.login()
	c.send("1 SELECT INBOX\r\n2 IDLE\r\nDONE\r\n3 APPEND INBOX {3+}\r\nabc (\\Seen) {3+}\r\ndef\r\n4 NOOP\r\n5 FETCH 1:2 BODY.PEEK[]\r\n6 LOGOUT\r\n")
	var tags []string
	for {
		line, err := c.tryRead()
		if err != nil {
			break
		}
		if line[0] >= '1' && line[0] <= '9' {
			tags = append(tags, line[:4])
		}
	}
	if got := strings.Join(tags, ","); got != "1 OK,2 OK,3 OK,4 OK,5 OK,6 OK" {
		t.Errorf("answers: %s", got)
	}
}

func TestShutdownSaysBye(t *testing.T) {
	h := newHouse(t, nil)
	// A second server over the same store, so that this one can be ended within the test.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	other := New(h.srv.cfg)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- other.Serve(ctx, l) }()
	h.addr = l.Addr().String()
	idle, quiet, stranger := h.login(), h.login(), h.dial()
	idle.send("a IDLE\r\n")
	idle.read()
	if n, in := counts(other); n != 3 || in != 2 {
		t.Errorf("%d connections, %d logged in", n, in)
	}
	cancel()
	for name, c := range map[string]*client{"idle": idle, "quiet": quiet, "stranger": stranger} {
		if got := c.read(); !strings.HasPrefix(got, "* BYE [UNAVAILABLE]") {
			t.Errorf("%s: %s", name, got)
		}
		c.ended()
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestLimitsOfConnections(t *testing.T) {
	h := newHouse(t, func(c *Config) { c.MaxPerAddr, c.MaxPerUser = 2, 1 })
	first, second := h.dial(), h.dial()
	nc, err := net.Dial("tcp", h.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	third := &client{t: t, nc: nc, br: newReader(nc)}
	if got := third.read(); !strings.HasPrefix(got, "* BYE") {
		t.Errorf("third connection: %s", got)
	}
	first.ok("LOGIN " + alice + " secret")
	if _, tagged := second.do("LOGIN " + alice + " secret"); !strings.HasPrefix(tagged, "NO [LIMIT]") {
		t.Errorf("second login: %s", tagged)
	}
	h.dial() // a place before login is free again
}

func TestLimitsOfInput(t *testing.T) {
	h := newHouse(t, nil)
	tests := []struct {
		name, input string
		login       bool
		want        string
	}{
		{"line before login", strings.Repeat("x", 9000) + "\r\n", false, "* BYE [LIMIT]"},
		{"literal before login", "a LOGIN {5000}\r\n", false, "a BAD [TOOBIG]"},
		{"line after login", "a SEARCH " + strings.Repeat("x", 70000) + "\r\n", true, "* BYE [LIMIT]"},
		{"nesting", "a SEARCH " + strings.Repeat("(", 60) + "\r\n", true, "a BAD"},
		{"patterns", `a LIST "" (` + strings.Repeat("% ", 100) + "%)\r\n", true, "a NO [LIMIT]"},
		{"pattern", `a LSUB "" ` + strings.Repeat("%*", 5000) + "\r\n", true, "a NO [LIMIT]"},
		{"no tag", "\r\n", true, "* BAD"},
		{"binary", "\x16\x03\x01\x02\r\n", false, "* BAD"},
		{"literal in an unknown command", "a NONSENSE {3+}\r\nabc\r\n", true, "a BAD"},
		{"huge literal", "a NONSENSE {99999999999+}\r\n", true, "a BAD"},
	}
	for _, tt := range tests {
		c := h.dial()
		if tt.login {
			c.ok("LOGIN " + alice + " secret")
			c.ok("SELECT INBOX")
		}
		c.send(tt.input)
		if got := c.read(); !strings.HasPrefix(got, tt.want) {
			t.Errorf("%s: %s", tt.name, got)
		}
	}
}

// Who is turned away while he still sends hears why: no reset overtakes the BYE.
func TestByeIsNotLostToAReset(t *testing.T) {
	h := newHouse(t, func(c *Config) { c.TLS = testTLS(t) })
	for _, secure := range []bool{false, true} {
		c := h.dial()
		if secure {
			c.ok("STARTTLS")
			c.startTLS()
		}
		c.send(strings.Repeat("x", 500_000) + "\r\n")
		if got := c.read(); !strings.HasPrefix(got, "* BYE [LIMIT]") {
			t.Errorf("TLS %v: %s", secure, got)
		}
		if _, err := c.tryRead(); err != io.EOF {
			t.Errorf("TLS %v: the connection ended with %v", secure, err)
		}
	}
}

func TestTooManyErrorsEndTheSession(t *testing.T) {
	c := newHouse(t, nil).dial()
	c.send(strings.Repeat("a NONSENSE\r\n", maxErrors+1))
	c.ended()
}

func TestUnauthenticatedTimeout(t *testing.T) {
	h := newHouse(t, func(c *Config) { c.LoginTimeout = 50 * time.Millisecond })
	nc, err := net.Dial("tcp", h.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	(&client{t: t, nc: nc, br: newReader(nc)}).ended()
}

// counts tells the connections, and those of them that are logged in.
func counts(s *Server) (connections, loggedIn int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns), s.inside
}

// IDLE gives a sign of life.
// A client that closes or resets its connection in IDLE is no fault: the house fails the test if
// one is logged.
func TestLeavingInIdleIsNoFault(t *testing.T) {
	h := newHouse(t, nil)
	for _, linger := range []int{-1, 0} {
		c := h.login()
		c.send("a IDLE\r\n")
		c.read()
		c.nc.(*net.TCPConn).SetLinger(linger)
		c.nc.Close()
		for n := 1; n > 0; n, _ = counts(h.srv) {
			runtime.Gosched()
		}
	}
}

func TestIdleKeepsAlive(t *testing.T) {
	c := newHouse(t, func(c *Config) { c.KeepAlive = 20 * time.Millisecond }).login()
	c.send("a IDLE\r\n")
	c.read()
	for range 2 {
		if got := c.read(); got != "* OK Still here" {
			t.Errorf("got %s", got)
		}
	}
}

// Whoever has logged in with a password that is changed is told BYE at once: between two
// commands, in IDLE, and under NOTIFY.
func TestRevokedLoginEndsItsSessions(t *testing.T) {
	users, err := auth.Open(filepath.Join(t.TempDir(), "server.db"), auth.Config{Hash: auth.HashCost{MemoryKiB: 64, Time: 1, Threads: 1}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { users.Close() })
	for _, err := range []error{users.AddDomain(t.Context(), auth.Domain{Name: "example.org"}), users.AddAccount(t.Context(), alice, "secret")} {
		if err != nil {
			t.Fatal(err)
		}
	}
	h := newHouse(t, func(c *Config) { c.Auth = users })
	quiet, idle, notified, gone := h.login(), h.login(), h.login(), h.login()
	idle.send("a IDLE\r\n")
	idle.read()
	notified.ok("NOTIFY SET (personal (MailboxName))")
	gone.ok("UNAUTHENTICATE")
	if err := users.SetPassword(t.Context(), alice, "another"); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]*client{"quiet": quiet, "idle": idle, "notified": notified} {
		if got := c.read(); !strings.HasPrefix(got, "* BYE [EXPIRED]") {
			t.Errorf("%s: %s", name, got)
		}
		c.ended()
	}
	gone.ok("LOGIN " + alice + " another")
}

// Apple's indexer is told to come back later when the server is busy; its owner isn't.
func TestBackgroundWorkIsTurnedAway(t *testing.T) {
	h := newHouse(t, func(c *Config) { c.Busy = func() bool { return true } })
	c := h.login()
	if _, tagged := c.do(`ID ("name" "iPhone Mail" "event" "indexer")`); !strings.HasPrefix(tagged, "NO [UNAVAILABLE]") {
		t.Errorf("indexer: %s", tagged)
	}
	c.ok(`ID ("name" "iPhone Mail")`)
}

func TestCapabilitiesCanBeSwitchedOffForAnAccount(t *testing.T) {
	h := newHouse(t, func(c *Config) { c.NoCaps = func(string) []string { return []string{"qresync", "COMPRESS=DEFLATE"} } })
	caps := h.login().ok("CAPABILITY")[0]
	if strings.Contains(caps, "QRESYNC") || strings.Contains(caps, "DEFLATE") || !strings.Contains(caps, "CONDSTORE") {
		t.Error(caps)
	}
}

// What is switched off is as unknown to an account as what was never written.
func TestCommandsOfCapabilitiesThatAreOff(t *testing.T) {
	off := []string{"QRESYNC", "COMPRESS=DEFLATE", "IDLE", "Move", "SORT", "THREAD=REFERENCES", "QUOTA", "UIDPLUS"}
	c := newHouse(t, func(c *Config) { c.NoCaps = func(string) []string { return off } }).login()
	c.ok("SELECT INBOX")
	for _, command := range []string{"COMPRESS DEFLATE", "IDLE", "MOVE 1 Trash", "UID MOVE 1 Trash", "SORT (DATE) UTF-8 ALL", "GETQUOTA \"\"", "UID EXPUNGE 1"} {
		if _, tagged := c.do(command); !strings.HasPrefix(tagged, "BAD Unknown command") {
			t.Errorf("%s: %s", command, tagged)
		}
	}
	if _, tagged := c.do("THREAD REFERENCES UTF-8 ALL"); !strings.HasPrefix(tagged, "BAD ") {
		t.Errorf("THREAD: %s", tagged)
	}
	c.ok("THREAD ORDEREDSUBJECT UTF-8 ALL")
	if got := c.ok("ENABLE QRESYNC CONDSTORE"); !slices.Contains(got, "* ENABLED CONDSTORE") {
		t.Errorf("ENABLE: %q", got)
	}
}

// What is shown before and after a login, in full: TN3191 and the IETF's guidance ask for it.
func TestCapabilitiesInFull(t *testing.T) {
	h := newHouse(t, nil)
	const before = "* CAPABILITY IMAP4rev1 IMAP4rev2 LITERAL+ SASL-IR ENABLE ID IDLE"
	const after = " NAMESPACE UNSELECT CHILDREN UIDPLUS MULTIAPPEND CATENATE BINARY ESEARCH SEARCHRES WITHIN PARTIAL MULTISEARCH" +
		" CONTEXT=SEARCH SORT SORT=DISPLAY ESORT THREAD=ORDEREDSUBJECT THREAD=REFERENCES MOVE REPLACE CONDSTORE QRESYNC UIDONLY" +
		" UIDBATCHES LIST-EXTENDED LIST-STATUS LIST-METADATA SPECIAL-USE CREATE-SPECIAL-USE STATUS=SIZE QUOTA QUOTA=RES-STORAGE" +
		" QUOTA=RES-MESSAGE METADATA SAVEDATE PREVIEW OBJECTID NOTIFY INPROGRESS UTF8=ACCEPT UNAUTHENTICATE" +
		" APPENDLIMIT=52428800 MESSAGELIMIT=1000000 COMPRESS=DEFLATE"
	if got := h.dial().ok("CAPABILITY"); !slices.Equal(got, []string{before + " AUTH=PLAIN"}) {
		t.Errorf("before login: %q", got)
	}
	if got := h.login().ok("CAPABILITY"); !slices.Equal(got, []string{before + after}) {
		t.Errorf("after login: %q", got)
	}
}

// Each capability that a command came with is one that is shown: a slip of the pen in the table
// would keep a command from being switched off.
func TestCapabilitiesOfCommandsAreShown(t *testing.T) {
	shown := strings.Fields(newHouse(t, nil).login().ok("CAPABILITY")[0])
	for _, cmd := range commandTable() {
		if cmd.cap != "" && !slices.Contains(shown, cmd.cap) {
			t.Errorf("%s comes with %s, which is not shown", cmd.name, cmd.cap)
		}
	}
}

func TestMessageLimit(t *testing.T) {
	h := newHouse(t, func(c *Config) { c.MessageLimit = 2 })
	c := h.login()
	for range 4 {
		c.ok("APPEND INBOX {1+}\r\nx")
	}
	if caps := c.ok("CAPABILITY")[0]; !strings.Contains(caps, " MESSAGELIMIT=2 ") {
		t.Error(caps)
	}
	c.ok("SELECT INBOX")
	got, tagged := c.do("FETCH 1:* UID")
	if len(got) != 2 || got[0] != "* 3 FETCH (UID 3)" || !strings.HasPrefix(tagged, "OK [MESSAGELIMIT 2 3]") {
		t.Errorf("FETCH: %q, %s", got, tagged)
	}
	if _, tagged := c.do("COPY 1:* Archive"); !strings.HasPrefix(tagged, "NO [MESSAGELIMIT 2]") {
		t.Errorf("COPY: %s", tagged)
	}
	if _, tagged := c.do("APPEND INBOX {1+}\r\nx {1+}\r\nx {1+}\r\nx"); !strings.HasPrefix(tagged, "NO [MESSAGELIMIT 2]") {
		t.Errorf("APPEND: %s", tagged)
	}
	if _, tagged := c.do("UID FETCH 1:* UID (PARTIAL -1:-3)"); !strings.HasPrefix(tagged, "NO [MESSAGELIMIT 2]") {
		t.Errorf("PARTIAL: %s", tagged)
	}
	if got := c.ok("UID FETCH 1:* UID (PARTIAL 2:3)"); len(got) != 2 {
		t.Errorf("PARTIAL: %q", got)
	}
	got, tagged = c.do("STORE 1:* (UNCHANGEDSINCE 1) +FLAGS (\\Seen)")
	if !strings.Contains(strings.Join(got, "\n"), "* NO [MESSAGELIMIT 2 3] ") || !strings.HasPrefix(tagged, "OK [MODIFIED 3:4]") {
		t.Errorf("STORE: %q, %s", got, tagged)
	}
	other := h.login()
	other.ok("SELECT INBOX")
	other.ok("STORE 1 +FLAGS.SILENT (\\Deleted)")
	// What isn't deleted doesn't count: a client that repeats the command until it hears of no limit would
	// never come to an end.
	if got, tagged := other.do("UID EXPUNGE 1:*"); len(got) == 0 || got[0] != "* 1 EXPUNGE" || strings.Contains(tagged, "MESSAGELIMIT") {
		t.Errorf("UID EXPUNGE: %q, %s", got, tagged)
	}
	// Both limits and expunges are told of.
	other.ok("STORE 3 +FLAGS.SILENT (\\Deleted)")
	other.ok("EXPUNGE")
	got, tagged = c.do("FETCH 1:* UID")
	if !strings.Contains(strings.Join(got, "\n"), "* NO [MESSAGELIMIT 2 3] ") || !strings.HasPrefix(tagged, "OK [EXPUNGEISSUED]") {
		t.Errorf("FETCH with expunges: %q, %s", got, tagged)
	}
}

// Batches hold as many messages as were asked for, whatever UIDs are missing, and leave no UID out (RFC 10022).
func TestBatchesOfUIDs(t *testing.T) {
	h := newHouse(t, nil)
	h.manyMessages(1203)
	c := h.login()
	c.ok("SELECT INBOX")
	c.ok("STORE 1,100:101,703 +FLAGS.SILENT (\\Deleted)")
	c.ok("EXPUNGE")
	for command, want := range map[string]string{
		"UIDBATCHES 500":          " 1203:703,702:203,202:1",
		"UIDBATCHES 500 1:1":      " 1203:703",
		"UIDBATCHES 500 2:3":      " 702:203,202:1",
		"UIDBATCHES 500 3:9":      " 202:1",
		"UIDBATCHES 500 4:9":      "",
		"UIDBATCHES 1198":         " 1203:3,2:1",
		"UIDBATCHES 1199":         " 1203:1",
		"UIDBATCHES 100000 1:100": " 1203:1",
	} {
		if got := c.ok(command)[0]; got != fmt.Sprintf("* UIDBATCHES (TAG \"t%d\")%s", c.n, want) {
			t.Errorf("%s: %s", command, got)
		}
	}
}

// REPLACE needs room for what the account grows by, not for the whole message (RFC 8508 3.4).
func TestReplaceInAFullAccount(t *testing.T) {
	h := newHouse(t, func(c *Config) {
		full, err := storage.Open(t.TempDir(), storage.Config{Hostname: "mail.example.org", Quota: func(string) storage.Quota { return storage.Quota{Bytes: 1000, Messages: 1} }})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { full.Close() })
		if err := full.CreateAccount(t.Context(), alice); err != nil {
			t.Fatal(err)
		}
		c.Store = full
	})
	c := h.login()
	message := func(n int) string { return fmt.Sprintf("{%d+}\r\n%s", n, strings.Repeat("x", n)) }
	c.ok("APPEND INBOX " + message(900))
	c.ok("SELECT INBOX")
	if _, tagged := c.do("APPEND INBOX " + message(50)); !strings.HasPrefix(tagged, "NO [OVERQUOTA]") {
		t.Errorf("a second message: %s", tagged)
	}
	c.ok("REPLACE 1 INBOX " + message(950))
	if _, tagged := c.do("REPLACE 1 INBOX " + message(1001)); !strings.HasPrefix(tagged, "NO [OVERQUOTA]") {
		t.Errorf("too large a replacement: %s", tagged)
	}
	c.ok("REPLACE 1 INBOX " + message(10))
}

// A client that sends an octet now and then holds no place before login for long.
func TestDrippingStrangerIsCutOff(t *testing.T) {
	h := newHouse(t, func(c *Config) { c.LoginTimeout = 100 * time.Millisecond })
	c := h.dial()
	go func() {
		for {
			if _, err := io.WriteString(c.nc, "x"); err != nil {
				return
			}
			time.Sleep(5 * time.Millisecond)
		}
	}()
	c.ended()
}
