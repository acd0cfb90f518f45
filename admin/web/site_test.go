package web

import (
	"bufio"
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

var update = flag.Bool("update", false, "write the answers that are wanted anew")

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// testSite hosts example.org and münchen.example.
func testSite(t testing.TB, change func(*Config)) *Site {
	cfg := Config{
		Now:      func() time.Time { return time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC) },
		Hostname: "mail.example.org",
		Hosted: func(domain string) bool {
			return slices.Contains([]string{"example.org", "xn--mnchen-3ya.example"}, strings.ToLower(domain))
		},
		Services: []Service{{"imap", 993, false}, {"imap", 143, true}, {"pop3", 995, false}, {"smtp", 465, false}, {"smtp", 587, true}},
		Policy: func(domain string) (Policy, bool) {
			return Policy{Mode: "testing", MX: []string{"mail.example.org"}, MaxAge: 7 * 24 * time.Hour}, domain == "example.org"
		},
	}
	if change != nil {
		change(&cfg)
	}
	s, err := New(cfg)
	must(t, err)
	return s
}

// TestCases sends testdata/NAME/request and wants the answer in testdata/NAME/response.
func TestCases(t *testing.T) {
	s := testSite(t, nil)
	dirs, err := filepath.Glob("testdata/[0-9]*")
	must(t, err)
	if len(dirs) == 0 {
		t.Fatal("no cases")
	}
	for _, dir := range dirs {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			raw, err := os.ReadFile(filepath.Join(dir, "request"))
			must(t, err)
			got := ask(t, s.Public(), raw)
			if *update {
				must(t, os.WriteFile(filepath.Join(dir, "response"), got, 0o644))
			}
			want, err := os.ReadFile(filepath.Join(dir, "response"))
			must(t, err)
			if !bytes.Equal(got, want) {
				t.Errorf("got:\n%s\nwant:\n%s", got, want)
			}
		})
	}
}

// ask returns status, the headers that matter and the body.
func ask(t testing.TB, h http.Handler, raw []byte) []byte {
	t.Helper()
	r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(raw)))
	must(t, err)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	var b bytes.Buffer
	fmt.Fprintln(&b, w.Code)
	for _, name := range []string{"Content-Type", "Content-Disposition", "Location"} {
		if v := w.Header().Get(name); v != "" {
			fmt.Fprintf(&b, "%s: %s\n", name, v)
		}
	}
	fmt.Fprintf(&b, "\n%s", w.Body)
	return b.Bytes()
}

func TestNothingTellsWhoHasAnAccount(t *testing.T) {
	s := testSite(t, nil)
	for _, path := range []string{"/mail/config-v1.1.xml?emailaddress=", "/mail/apple.mobileconfig?email="} {
		var answers [2]string
		for i, user := range []string{"alice", "ghost"} {
			got := string(ask(t, s.Public(), []byte("GET "+path+user+"%40example.org HTTP/1.1\r\nHost: example.org\r\n\r\n")))
			for _, what := range []string{"profile", "mail"} { // IDs come from the address
				got = strings.ReplaceAll(got, settings{Hostname: "mail.example.org", Address: user + "@example.org"}.ID(what), "ID")
			}
			answers[i] = strings.ReplaceAll(got, user, "USER")
		}
		if answers[0] != answers[1] {
			t.Errorf("%s: %q and %q", path, answers[0], answers[1])
		}
	}
}

func TestXMLIsWellFormed(t *testing.T) {
	s := testSite(t, nil)
	post := `<Autodiscover><Request><EMailAddress>"a&lt;&amp;b"@example.org</EMailAddress></Request></Autodiscover>`
	for _, raw := range []string{
		"GET /mail/config-v1.1.xml HTTP/1.1\r\nHost: example.org\r\n\r\n",
		"GET /mail/apple.mobileconfig?email=%22a%3C%26b%22%40example.org HTTP/1.1\r\nHost: example.org\r\n\r\n",
		fmt.Sprintf("POST /autodiscover/autodiscover.xml HTTP/1.1\r\nHost: example.org\r\nContent-Length: %d\r\n\r\n%s", len(post), post),
	} {
		answer := string(ask(t, s.Public(), []byte(raw)))
		_, body, _ := strings.Cut(answer, "\n\n")
		dec, names := xml.NewDecoder(strings.NewReader(body)), 0
		for {
			tok, err := dec.Token()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatalf("%v in %s", err, answer)
			}
			if _, ok := tok.(xml.StartElement); ok {
				names++
			}
		}
		if names < 10 {
			t.Errorf("%d elements in %s", names, answer)
		}
	}
}

func TestChallengesComeBeforeTheNameIsChecked(t *testing.T) {
	s := testSite(t, func(cfg *Config) {
		cfg.Challenge = func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if strings.HasPrefix(r.URL.Path, "/.well-known/acme-challenge/") {
					io.WriteString(w, "token")
					return
				}
				next.ServeHTTP(w, r)
			})
		}
	})
	for _, h := range []http.Handler{s.Public(), s.Plain()} {
		got := string(ask(t, h, []byte("GET /.well-known/acme-challenge/x HTTP/1.1\r\nHost: new.example.net\r\n\r\n")))
		if !strings.HasPrefix(got, "200\n") || !strings.HasSuffix(got, "token") {
			t.Error(got)
		}
	}
}

func TestPlainLeadsToHTTPS(t *testing.T) {
	s := testSite(t, nil)
	for raw, want := range map[string]string{
		"GET /mail/config-v1.1.xml?emailaddress=a%40example.org HTTP/1.1\r\nHost: autoconfig.example.org:80\r\n\r\n": "301\nContent-Type: text/html; charset=utf-8\nLocation: https://autoconfig.example.org/mail/config-v1.1.xml?emailaddress=a%40example.org\n",
		"GET //evil.test/ HTTP/1.1\r\nHost: example.org\r\n\r\n":                                                     "301\nContent-Type: text/html; charset=utf-8\nLocation: https://example.org//evil.test/\n",
		"GET /x HTTP/1.1\r\nHost: [2001:db8::1]:80\r\n\r\n":                                                          "301\nContent-Type: text/html; charset=utf-8\nLocation: https://[2001:db8::1]/x\n",
		"GET /x HTTP/1.1\r\nHost: [2001:db8::1]\r\n\r\n":                                                             "301\nContent-Type: text/html; charset=utf-8\nLocation: https://[2001:db8::1]/x\n",
		"POST / HTTP/1.1\r\nHost: example.org\r\n\r\n":                                                               "403\n",
		"GET / HTTP/1.1\r\nHost: evil.test\r\n\r\n":                                                                  "421\n",
		"GET /health/live HTTP/1.1\r\nHost: 192.0.2.1\r\n\r\n":                                                       "200\n",
	} {
		if got := string(ask(t, s.Plain(), []byte(raw))); !strings.HasPrefix(got, want) {
			t.Errorf("%q: %q, want %q", raw, got, want)
		}
	}
}

func TestHealth(t *testing.T) {
	var state error
	s := testSite(t, func(cfg *Config) {
		cfg.Ready = func(ctx context.Context) error {
			if _, ok := ctx.Deadline(); !ok {
				t.Error("no deadline")
			}
			return state
		}
	})
	get := func(path string) string {
		return string(ask(t, s.Public(), []byte("GET "+path+" HTTP/1.1\r\nHost: localhost\r\n\r\n")))
	}
	if got := get("/health/ready"); !strings.HasPrefix(got, "200\n") {
		t.Error(got)
	}
	state = errors.New("queue.db: disk I/O error")
	if got := get("/health"); !strings.HasPrefix(got, "503\n") || strings.Contains(got, "queue") {
		t.Error(got)
	}
	if got := get("/health/live"); !strings.HasPrefix(got, "200\n") {
		t.Error(got)
	}
}

func TestMetrics(t *testing.T) {
	reg := prometheus.NewRegistry()
	c := prometheus.NewCounter(prometheus.CounterOpts{Name: "facteur_test_total"})
	reg.MustRegister(c)
	c.Add(3)
	s := testSite(t, func(cfg *Config) { cfg.Metrics = reg })
	if got := string(ask(t, s.Metrics(), []byte("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"))); !strings.Contains(got, "facteur_test_total 3") {
		t.Error(got)
	}
	if got := string(ask(t, testSite(t, nil).Metrics(), []byte("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"))); !strings.HasPrefix(got, "404") {
		t.Error(got)
	}
}

func TestServeLimitsRequestsAndEndsWithItsContext(t *testing.T) {
	s := testSite(t, nil)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, l, nil, s.Public()) }()
	url := "http://" + l.Addr().String()

	resp, err := http.Get(url + "/health")
	must(t, err)
	resp.Body.Close()
	if resp.StatusCode != 200 || resp.Header.Get("X-Content-Type-Options") != "nosniff" {
		t.Error(resp.Status, resp.Header)
	}
	big := "<Autodiscover><Request><EMailAddress>" + strings.Repeat("a", 2*maxBody)
	resp, err = http.Post(url+"/autodiscover/autodiscover.xml", "text/xml", strings.NewReader(big))
	must(t, err)
	resp.Body.Close()
	if resp.StatusCode != http.StatusRequestEntityTooLarge {
		t.Error(resp.Status)
	}
	req, err := http.NewRequest("GET", url, nil)
	must(t, err)
	req.Header.Set("X-Big", strings.Repeat("a", 4*maxHeader))
	resp, err = http.DefaultClient.Do(req)
	must(t, err)
	resp.Body.Close()
	if resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Error(resp.Status)
	}
	cancel()
	must(t, <-done)
}

// Serve returned as soon as it was told to end, while requests were still being answered.
func TestServeReturnedBeforeItsRequestsEnded(t *testing.T) {
	s := testSite(t, nil)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	begun, answer := make(chan struct{}), make(chan struct{})
	done := make(chan error, 1)
	go func() {
		done <- s.Serve(ctx, l, nil, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
			close(begun)
			<-answer
		}))
	}()
	got := make(chan error, 1)
	go func() {
		resp, err := http.Get("http://" + l.Addr().String())
		if err == nil {
			err = resp.Body.Close()
		}
		got <- err
	}()
	<-begun
	cancel()
	for err == nil { // until the listener is closed, which Shutdown does first
		var c net.Conn
		if c, err = net.Dial("tcp", l.Addr().String()); err == nil {
			c.Close()
		}
	}
	select {
	case err := <-done:
		t.Errorf("it has ended: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	close(answer)
	must(t, <-got)
	if !t.Failed() {
		must(t, <-done)
	}
}

func FuzzAutodiscover(f *testing.F) {
	s := testSite(f, nil)
	f.Add([]byte("<Autodiscover><Request><EMailAddress>a@example.org</EMailAddress></Request></Autodiscover>"))
	f.Fuzz(func(t *testing.T, body []byte) {
		r := httptest.NewRequest("POST", "/autodiscover/autodiscover.xml", bytes.NewReader(body))
		r.Host = "example.org"
		w := httptest.NewRecorder()
		s.Public().ServeHTTP(w, r)
		if w.Code != 200 || xml.Unmarshal(w.Body.Bytes(), new(struct{ XMLName xml.Name })) != nil {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
	})
}
