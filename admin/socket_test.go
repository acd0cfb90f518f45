package admin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"facteur/auth"
	"facteur/storage"
)

// shortDir is a folder whose name leaves room in a socket's path (108 octets).
func shortDir(t *testing.T) string {
	dir, err := os.MkdirTemp("", "adm")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func TestEveryMethodGoesThroughTheSocket(t *testing.T) {
	service := reflect.TypeFor[Service]()
	served := methods(&Client{})
	for i := range service.NumMethod() {
		if name := service.Method(i).Name; served[name] == nil {
			t.Errorf("%s is not served", name)
		}
	}
	if len(served) != service.NumMethod() {
		t.Errorf("%d methods are served, Service has %d", len(served), service.NumMethod())
	}
}

// stub answers two methods; the others are never asked.
type stub struct{ Service }

func (stub) Domains(context.Context, None) ([]Domain, error) {
	return []Domain{{Name: "example.org", CatchAll: "a@example.org"}}, nil
}

func (stub) AddAlias(_ context.Context, a Alias) (None, error) {
	switch a.Address {
	case "taken@example.org":
		return None{}, fmt.Errorf("alias %s: %w", a.Address, auth.ErrTaken)
	case "broken@example.org":
		return None{}, errors.New("disk on fire")
	}
	return None{}, fmt.Errorf("domain of %s: %w", a.Address, auth.ErrNotHosted)
}

func TestSocketCarriesAnswersAndErrors(t *testing.T) {
	dir := shortDir(t)
	l, err := Listen(dir)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: Handler(stub{}, slog.New(slog.NewTextHandler(io.Discard, nil)))}
	go server.Serve(l)
	defer server.Close()
	if info, err := os.Stat(socketPath(dir)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("socket: %v, %v", info.Mode(), err)
	}

	c, err := Dial(context.Background(), dir)
	if err != nil {
		t.Fatal(err)
	}
	domains, err := c.Domains(context.Background(), None{})
	if err != nil || len(domains) != 1 || domains[0].CatchAll != "a@example.org" {
		t.Errorf("%v, %v", domains, err)
	}
	for _, tt := range []struct {
		address, text string
		kind          error
	}{
		{"taken@example.org", "alias taken@example.org: exists already", ErrExists},
		{"x@elsewhere.test", "domain of x@elsewhere.test: domain is not hosted here", ErrNotFound},
		{"broken@example.org", "disk on fire", nil},
	} {
		_, err := c.AddAlias(context.Background(), Alias{Address: tt.address})
		if err == nil || err.Error() != tt.text || Kind(err) != tt.kind {
			t.Errorf("%s: %v of kind %v, want %q of kind %v", tt.address, err, Kind(err), tt.text, tt.kind)
		}
	}
}

// Append reads as much as its mailbox is told to.
func (stub) Append(_ context.Context, q NewMessage) (None, error) {
	switch q.Mailbox {
	case "closed":
		return None{}, fmt.Errorf("%w: closed", ErrRefused)
	case "full":
		return None{}, storage.ErrOverQuota
	}
	n, err := io.Copy(io.Discard, q.Body)
	if err == nil && n != q.Size {
		err = fmt.Errorf("%d octets came", n)
	}
	return None{}, err
}

func TestAppendStreamsThroughTheSocket(t *testing.T) {
	dir := shortDir(t)
	l, err := Listen(dir)
	if err != nil {
		t.Fatal(err)
	}
	// However long a message takes, the server's timeout does not cut it off.
	server := &http.Server{Handler: Handler(stub{}, slog.New(slog.DiscardHandler)), ReadHeaderTimeout: time.Minute, ReadTimeout: 1}
	go server.Serve(l)
	defer server.Close()
	c, err := Dial(context.Background(), dir)
	if err != nil {
		t.Fatal(err)
	}
	const size = 3 * maxRequest
	for _, tt := range []struct {
		mailbox string
		has     int64
		kind    error
		fails   bool
	}{
		{"open", size, nil, false},
		{"open", size + 10, nil, false}, // what is behind it is not the message's
		{"closed", size, ErrRefused, true},
		{"full", size, ErrOverQuota, true},
		{"open", size - 1, nil, true},
	} {
		body := &io.LimitedReader{R: endless{}, N: tt.has}
		_, err := c.Append(context.Background(), NewMessage{Mailbox: tt.mailbox, Size: size, Body: body})
		if (err != nil) != tt.fails || Kind(err) != tt.kind {
			t.Errorf("%s with %d octets: %v of kind %v", tt.mailbox, tt.has, err, Kind(err))
		}
		body.N = 0 // the race detector sees a transport that goes on reading
	}
}

// endless gives octets without end.
type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

func TestListenSaysThatAPathIsTooLong(t *testing.T) {
	dir := shortDir(t) + "/" + strings.Repeat("x", 100)
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(dir); err == nil || !strings.Contains(err.Error(), "too long for a socket") {
		t.Errorf("%v", err)
	}
}

func TestListenReplacesADeadServersSocket(t *testing.T) {
	dir := shortDir(t)
	dead, err := net.Listen("unix", socketPath(dir))
	if err != nil {
		t.Fatal(err)
	}
	dead.(*net.UnixListener).SetUnlinkOnClose(false)
	dead.Close()
	if _, err := Dial(context.Background(), dir); err == nil {
		t.Error("a dead server answers")
	}
	l, err := Listen(dir)
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
}

func TestLockSaysWhoHasTheFolder(t *testing.T) {
	dir := t.TempDir()
	first, err := TakeLock(dir, "facteur serve")
	if err != nil {
		t.Fatal(err)
	}
	_, err = TakeLock(dir, "facteur account")
	want := fmt.Sprintf("facteur serve, process %d", os.Getpid())
	if !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), want) {
		t.Errorf("second: %v, want %q in it", err, want)
	}
	if err := first.Release(); err != nil {
		t.Fatal(err)
	}
	second, err := TakeLock(dir, "facteur account")
	if err != nil {
		t.Fatal(err)
	}
	second.Release()
}
