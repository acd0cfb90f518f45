package remote

import (
	"bufio"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xdg-go/scram"

	"facteur/mta"
	"facteur/mta/dns"
	"facteur/test/loopback"
)

// relay is a scripted smarthost. serve talks to one connection. What TLS came to is what the Sender remembers in the end.
func relay(t *testing.T, cfg SmarthostConfig, serve func(conn net.Conn) error) (mta.Result, TLSOutcome) {
	t.Helper()
	tlsConfig, pool := loopback.Certificate(t, "relay.test")
	done := make(chan error, 2)
	dials := 0
	s := New(Config{Resolver: &zone{four: map[string][]string{"relay.test": {"192.0.2.9"}}}, Hello: "home.test", Roots: pool,
		Dial: func(_ context.Context, _, address string) (net.Conn, error) {
			ours, theirs := net.Pipe()
			dials++
			go func() {
				conn := theirs
				if cfg.TLS == TLSImplicit {
					conn = serverTLS(theirs, tlsConfig)
				}
				done <- serve(conn)
				conn.Close()
			}()
			return namedConn{ours, address}, nil
		}})
	cfg.Host = "relay.test"
	m := &mta.Message{ID: "test", Body: mta.BodyBytes([]byte("Subject: hi\r\n\r\nHello\r\n"))}
	m.Env.MailFrom = parse(t, "a@home.test")
	result := s.Smarthost(cfg).Deliver(context.Background(), m, []mta.Recipient{{Address: parse(t, "b@x.test")}})[0]
	s.Close()
	for range dials {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	tls := s.Outcomes()
	if len(tls) != 1 || tls[0].Host != "relay.test" {
		t.Fatalf("remembered %+v", tls)
	}
	return result, tls[0]
}

var afterLogin = script{
	"C: MAIL FROM:<a@home.test>", "S: 250 ok", "C: RCPT TO:<b@x.test>", "S: 250 ok", "C: DATA", "S: 354 go",
	"C: Subject: hi", "C:", "C: Hello", "C: .", "S: 250 ok", "C: QUIT", "S: 221 bye",
}

func TestSmarthostLogin(t *testing.T) {
	plain := base64.StdEncoding.EncodeToString([]byte("\x00alice\x00secret"))
	hello := func(auth string) script {
		return script{"S: 220 relay", "C: EHLO home.test", "S: 250-relay.test", "S: 250 " + auth}
	}
	for _, tt := range []struct {
		name string
		mode TLSMode
		say  script
		want string
		tls  string // what is remembered: policy and fault
	}{
		{"PLAIN", TLSImplicit, append(append(hello("AUTH LOGIN PLAIN"), "C: AUTH PLAIN "+plain, "S: 235 ok"), afterLogin...), "relay.test: relayed [TLSv1.3", "configuration: "},
		{"LOGIN", TLSImplicit, append(append(hello("AUTH=LOGIN"), "C: AUTH LOGIN YWxpY2U=", "S: 334 UGFzc3dvcmQ6", "C: c2VjcmV0", "S: 235 ok"), afterLogin...), "relay.test: relayed", "configuration: "},
		{"wrong password waits for the owner", TLSImplicit, append(hello("AUTH PLAIN"), "C: AUTH PLAIN "+plain, "S: 535 5.7.8 no", "C: QUIT", "S: 221 bye"), "451 4.3.2 unreachable", "configuration: "},
		{"STARTTLS demanded", TLSStart, append(hello("AUTH PLAIN"), "C: QUIT", "S: 221 bye"), "451 4.7.5 unreachable", "configuration: the server offers no STARTTLS"},
		{"no password in the clear", TLSMay, append(hello("AUTH PLAIN LOGIN"), "C: QUIT", "S: 221 bye"), "451 4.7.5 unreachable", ": the server offers no STARTTLS"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r, tls := relay(t, SmarthostConfig{TLS: tt.mode, User: "alice", Password: "secret"}, func(conn net.Conn) error { return tt.say.play(conn, nil) })
			if got := resultText(r); !strings.HasPrefix(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			if got := tls.Policy + ": " + tls.Fault; got != tt.tls || (tls.TLS == "") == (tt.mode == TLSImplicit) {
				t.Errorf("remembered %+v, want %q", tls, tt.tls)
			}
		})
	}
}

// A relay that is to have TLS if it can gets the mail when its TLS is broken, and the password never.
func TestSmarthostBrokenTLS(t *testing.T) {
	first := script{"S: 220 relay", "C: EHLO home.test", "S: 250-relay.test", "S: 250-AUTH PLAIN", "S: 250 STARTTLS", "C: STARTTLS", "S: 220 go"}
	for _, tt := range []struct {
		name, user string
		again      script
		want       string
	}{
		{"open relay", "", append(script{"S: 220 relay", "C: EHLO home.test", "S: 250-relay.test", "S: 250 STARTTLS"}, afterLogin...), "relay.test: relayed"},
		{"with a password", "alice", script{"S: 220 relay", "C: EHLO home.test", "S: 250-relay.test", "S: 250-AUTH PLAIN", "S: 250 STARTTLS", "C: QUIT", "S: 221 bye"}, "451 4.7.5 unreachable"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			connections := 0
			r, tls := relay(t, SmarthostConfig{TLS: TLSMay, User: tt.user, Password: "secret"}, func(conn net.Conn) error {
				if connections++; connections > 1 {
					return tt.again.play(conn, nil)
				}
				_ = first.play(conn, nil) // it ends in our ClientHello
				return nil
			})
			if got := resultText(r); !strings.HasPrefix(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			if tls.TLS != "" || !strings.HasPrefix(tls.Fault, "TLS handshake with relay.test: ") {
				t.Errorf("remembered %+v", tls)
			}
		})
	}
	t.Run("from the first octet", func(t *testing.T) {
		r, tls := relay(t, SmarthostConfig{TLS: TLSImplicit}, func(conn net.Conn) error {
			conn.(interface{ NetConn() net.Conn }).NetConn().Close() // no handshake
			return nil
		})
		if got := resultText(r); !strings.HasPrefix(got, "451 4.7.5 unreachable") {
			t.Errorf("got %q", got)
		}
		if tls.TLS != "" || tls.Policy != "configuration" || !strings.HasPrefix(tls.Fault, "TLS handshake with relay.test: ") {
			t.Errorf("remembered %+v", tls)
		}
	})
}

func TestSmarthostSCRAM(t *testing.T) {
	for _, honest := range []bool{true, false} {
		t.Run(fmt.Sprint("honest=", honest), func(t *testing.T) {
			r, _ := relay(t, SmarthostConfig{TLS: TLSMay, User: "alice", Password: "secret"}, func(conn net.Conn) error { return serveSCRAM(conn, honest) })
			if honest != (r.Err == nil) {
				t.Errorf("got %q", resultText(r))
			}
		})
	}
}

// serveSCRAM plays the server's side; a dishonest one says 235 without its proof.
func serveSCRAM(conn net.Conn, honest bool) error {
	defer conn.Close()
	client, err := scram.SHA256.NewClient("alice", "secret", "")
	if err != nil {
		return err
	}
	stored, err := client.GetStoredCredentialsWithError(scram.KeyFactors{Salt: "0123456789abcdef", Iters: 4096})
	if err != nil {
		return err
	}
	server, err := scram.SHA256.NewServer(func(string) (scram.StoredCredentials, error) { return stored, nil })
	if err != nil {
		return err
	}
	conv := server.NewConversation()
	r := bufio.NewReader(conn)
	fmt.Fprintf(conn, "220 relay\r\n")
	if _, err := r.ReadString('\n'); err != nil {
		return err
	}
	fmt.Fprintf(conn, "250-relay\r\n250 AUTH PLAIN SCRAM-SHA-256\r\n")
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return err
		}
		line = strings.TrimPrefix(strings.TrimRight(line, "\r\n"), "AUTH SCRAM-SHA-256 ")
		if line == "" || line != "QUIT" && conv.Done() {
			break
		}
		if line == "QUIT" {
			return nil
		}
		msg, err := base64.StdEncoding.DecodeString(line)
		if err != nil {
			return err
		}
		answer, err := conv.Step(string(msg))
		if err != nil {
			return err
		}
		if conv.Done() && !honest {
			break
		}
		fmt.Fprintf(conn, "334 %s\r\n", base64.StdEncoding.EncodeToString([]byte(answer)))
	}
	if !honest {
		fmt.Fprintf(conn, "235 ok\r\n")
		r.ReadString('\n') // QUIT
		fmt.Fprintf(conn, "221 bye\r\n")
		return nil
	}
	return append(script{"S: 235 ok"}, afterLogin...).play(conn, nil)
}

// TestTimeouts: a peer that falls silent costs what RFC 5321 4.5.3.2 says, phase by
// phase, and no more.
func TestTimeouts(t *testing.T) {
	full := script{"S: 220 hi", "C: EHLO home.test", "S: 250 relay.test", "C: MAIL FROM:<a@home.test>", "S: 250 ok",
		"C: RCPT TO:<b@x.test>", "S: 250 ok", "C: DATA", "S: 354 go", "C: Subject: hi", "C:", "C: Hello", "C: ."}
	for _, tt := range []struct {
		name string
		upTo int
		want time.Duration
	}{
		{"greeting", 0, 5 * time.Minute}, {"EHLO", 2, 5 * time.Minute}, {"MAIL", 4, 5 * time.Minute}, {"RCPT", 6, 5 * time.Minute},
		{"DATA", 8, 2 * time.Minute}, {"final dot", 13, 10 * time.Minute},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := New(Config{Resolver: &zone{four: map[string][]string{"x.test": {"192.0.2.1"}}}, Hello: "home.test",
					Dial: func(_ context.Context, _, address string) (net.Conn, error) {
						ours, theirs := net.Pipe()
						go full[:tt.upTo].fallSilent(theirs)
						return namedConn{ours, address}, nil
					}})
				m := &mta.Message{ID: "test", Body: mta.BodyBytes([]byte("Subject: hi\r\n\r\nHello\r\n"))}
				m.Env.MailFrom = parse(t, "a@home.test")
				start := time.Now()
				r := s.Deliver(context.Background(), m, []mta.Recipient{{Address: parse(t, "b@x.test")}})[0]
				if r.Err == nil || !r.Err.Temporary() || time.Since(start) != tt.want {
					t.Errorf("%s after %v, want 4xx after %v", resultText(r), time.Since(start), tt.want)
				}
			})
		})
	}
}

// fallSilent plays the script, whatever the other side says, and then nothing until that has had enough.
func (sc script) fallSilent(conn net.Conn) {
	r := bufio.NewReader(conn)
	for _, line := range sc {
		if say, ok := strings.CutPrefix(line, "S: "); ok {
			fmt.Fprint(conn, say+"\r\n")
		} else if _, err := r.ReadString('\n'); err != nil {
			return
		}
	}
	io.Copy(io.Discard, r)
}

// TestDeadAddressCostsAMoment: IPv6 that swallows packets must not delay the mail.
func TestDeadAddressCostsAMoment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Config{Resolver: &zone{four: map[string][]string{"x.test": {"192.0.2.1"}}, six: map[string][]string{"x.test": {"2001:db8::1"}}}, Hello: "home.test",
			Dial: func(ctx context.Context, _, address string) (net.Conn, error) {
				if strings.HasPrefix(address, "[2001") {
					<-ctx.Done()
					return nil, ctx.Err()
				}
				ours, theirs := net.Pipe()
				go script{"S: 554 no", "C: QUIT", "S: 221 bye"}.play(theirs, nil)
				return namedConn{ours, address}, nil
			}})
		m := &mta.Message{ID: "test", Body: mta.BodyBytes([]byte("\r\n"))}
		start := time.Now()
		r := s.Deliver(context.Background(), m, []mta.Recipient{{Address: parse(t, "b@x.test")}})[0]
		if time.Since(start) != fallbackDelay || !strings.Contains(resultText(r), "554") {
			t.Errorf("%s after %v", resultText(r), time.Since(start))
		}
		synctest.Wait()
	})
}

// TestStopBreaksADelivery: ctx's end is not kept waiting by a silent peer.
func TestStopBreaksADelivery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		s := New(Config{Resolver: &zone{four: map[string][]string{"x.test": {"192.0.2.1"}}}, Hello: "home.test",
			Dial: func(context.Context, string, string) (net.Conn, error) {
				ours, theirs := net.Pipe()
				go bufio.NewReader(theirs).ReadString('\n')
				return namedConn{ours, "192.0.2.1:25"}, nil
			}})
		m := &mta.Message{ID: "test", Body: mta.BodyBytes([]byte("\r\n"))}
		start := time.Now()
		r := s.Deliver(ctx, m, []mta.Recipient{{Address: parse(t, "b@x.test")}})[0]
		if r.Err == nil || time.Since(start) != time.Second {
			t.Errorf("%s after %v", resultText(r), time.Since(start))
		}
	})
}

// TestStopInAHandshake: that we stop while a server shakes hands says nothing about the server, neither to the sender of
// a message with REQUIRETLS nor in the memory of outcomes.
func TestStopInAHandshake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		z := &zone{mx: map[string][]dns.MX{"x.test": {{Preference: 10, Host: "mx.x.test"}}}, four: map[string][]string{"mx.x.test": {"192.0.2.1"}}, authentic: true}
		s := New(Config{Resolver: z, Hello: "home.test",
			Dial: func(context.Context, string, string) (net.Conn, error) {
				ours, theirs := net.Pipe()
				go script{"S: 220 hi", "C: EHLO home.test", "S: 250-mx.x.test", "S: 250 STARTTLS", "C: STARTTLS", "S: 220 go"}.fallSilent(theirs)
				return namedConn{ours, "192.0.2.1:25"}, nil
			}})
		m := &mta.Message{ID: "test", Body: mta.BodyBytes([]byte("\r\n"))}
		m.Env.RequireTLS = true
		r := s.Deliver(ctx, m, []mta.Recipient{{Address: parse(t, "b@x.test")}})[0]
		if r.Err == nil || !r.Err.Temporary() || len(s.Outcomes()) > 0 {
			t.Errorf("%s, remembered %+v", resultText(r), s.Outcomes())
		}
	})
}
