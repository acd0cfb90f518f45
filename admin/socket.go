package admin

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// socketPath is where the server of a data folder listens.
func socketPath(dir string) string { return filepath.Join(dir, "admin.sock") }

// Listen opens the socket of a data folder. The caller holds its lock, so a socket
// file that is there is a dead server's.
func Listen(dir string) (net.Listener, error) {
	path := socketPath(dir)
	if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
		return nil, fmt.Errorf("old admin socket: %w", err)
	}
	// Until the chmod below the folder's own 0700 keeps others out.
	l, err := net.Listen("unix", path)
	if errors.Is(err, syscall.EINVAL) {
		return nil, fmt.Errorf("admin socket: the path of the data folder is too long for a socket in it, %s: 107 octets are possible", path)
	}
	if err != nil {
		return nil, fmt.Errorf("admin socket: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		l.Close()
		return nil, fmt.Errorf("admin socket: %w", err)
	}
	return l, nil
}

// maxRequest bounds what a question may take up.
const maxRequest = 1 << 20

// Handler answers the methods of s as POST /METHOD with JSON in both directions. Behind
// the question of Append, which is one line, come the octets of the message.
func Handler(s Service, log *slog.Logger) http.Handler {
	mux := http.NewServeMux()
	for name, method := range methods(s) {
		mux.HandleFunc("POST /"+name, func(w http.ResponseWriter, r *http.Request) {
			// A message comes as slowly as the server that it is fetched from. An error means that there is no deadline.
			_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
			answer, err := method(r.Context(), r.Body)
			w.Header().Set("Content-Type", "application/json")
			if err != nil {
				kind, status := kindOf(err)
				if kind == "" {
					log.Warn("admin request failed", "method", name, "error", err)
				}
				w.WriteHeader(status)
				answer = failure{kind, err.Error()}
			}
			// A write error means that the asker has gone.
			_ = json.NewEncoder(w).Encode(answer)
		})
	}
	return mux
}

// method is one method of Service with the request that asks it.
type method func(ctx context.Context, request io.ReadCloser) (any, error)

func typed[Q, A any](f func(context.Context, Q) (A, error)) method {
	return func(ctx context.Context, request io.ReadCloser) (any, error) {
		question, err := io.ReadAll(http.MaxBytesReader(nil, request, maxRequest))
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
		}
		var q Q
		if err := json.Unmarshal(question, &q); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
		}
		return f(ctx, q)
	}
}

// appending is typed for Append.
func appending(f func(context.Context, NewMessage) (None, error)) method {
	return func(ctx context.Context, request io.ReadCloser) (any, error) {
		r := bufio.NewReaderSize(request, 64<<10)
		question, err := r.ReadSlice('\n')
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
		}
		var q NewMessage
		if err := json.Unmarshal(question, &q); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
		}
		q.Body = r
		answer, err := f(ctx, q)
		// Who is refused hears why only after the last octet is written. An error means that nobody listens.
		_, _ = io.Copy(io.Discard, r)
		return answer, err
	}
}

// methods names what goes through the socket. A test compares it with Service.
func methods(s Service) map[string]method {
	return map[string]method{
		"Accounts":          typed(s.Accounts),
		"Account":           typed(s.Account),
		"AddAccount":        typed(s.AddAccount),
		"SetPassword":       typed(s.SetPassword),
		"DisableAccount":    typed(s.DisableAccount),
		"RemoveAccount":     typed(s.RemoveAccount),
		"SetQuota":          typed(s.SetQuota),
		"SetCapabilities":   typed(s.SetCapabilities),
		"AppPasswords":      typed(s.AppPasswords),
		"AddAppPassword":    typed(s.AddAppPassword),
		"RevokeAppPassword": typed(s.RevokeAppPassword),
		"Domains":           typed(s.Domains),
		"AddDomain":         typed(s.AddDomain),
		"DisableDomain":     typed(s.DisableDomain),
		"SetCatchAll":       typed(s.SetCatchAll),
		"RemoveDomain":      typed(s.RemoveDomain),
		"DomainRecords":     typed(s.DomainRecords),
		"Aliases":           typed(s.Aliases),
		"AddAlias":          typed(s.AddAlias),
		"RemoveAlias":       typed(s.RemoveAlias),
		"Keys":              typed(s.Keys),
		"AddKey":            typed(s.AddKey),
		"RotateKeys":        typed(s.RotateKeys),
		"RemoveKey":         typed(s.RemoveKey),
		"SignSample":        typed(s.SignSample),
		"QueueList":         typed(s.QueueList),
		"QueueDestinations": typed(s.QueueDestinations),
		"QueueShow":         typed(s.QueueShow),
		"QueueChange":       typed(s.QueueChange),
		"Mailboxes":         typed(s.Mailboxes),
		"CreateMailbox":     typed(s.CreateMailbox),
		"Held":              typed(s.Held),
		"Append":            appending(s.Append),
		"Rebuild":           typed(s.Rebuild),
		"Verify":            typed(s.Verify),
		"Backup":            typed(s.Backup),
		"Certificates":      typed(s.Certificates),
		"Peers":             typed(s.Peers),
		"Explain":           typed(s.Explain),
		"Status":            typed(s.Status),
	}
}

// Client asks a running server. It implements Service.
type Client struct{ http *http.Client }

// Dial returns a Client of the server that has dir open, or an error when none
// answers there.
func Dial(ctx context.Context, dir string) (*Client, error) {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, "unix", socketPath(dir))
	}
	conn, err := dial(ctx, "", "")
	if err != nil {
		return nil, err
	}
	conn.Close()
	return &Client{&http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}}, nil
}

func ask[A any](ctx context.Context, c *Client, method string, question any) (A, error) {
	return askWith[A](ctx, c, method, question, http.NoBody, 0)
}

// askWith sends size octets of body behind the question.
func askWith[A any](ctx context.Context, c *Client, method string, question any, body io.Reader, size int64) (answer A, err error) {
	q, err := json.Marshal(question)
	if err != nil {
		return answer, err
	}
	q = append(q, '\n')
	lent := &lentReader{Reader: io.MultiReader(bytes.NewReader(q), io.LimitReader(body, size)), closed: make(chan struct{})}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://facteur/"+method, lent)
	if err != nil {
		return answer, err
	}
	req.ContentLength = int64(len(q)) + size
	defer lent.wait()
	resp, err := c.http.Do(req)
	if err != nil {
		return answer, fmt.Errorf("ask the server: %w", err)
	}
	defer resp.Body.Close()
	d := json.NewDecoder(resp.Body)
	if resp.StatusCode != http.StatusOK {
		var f failure
		if err := d.Decode(&f); err != nil {
			return answer, fmt.Errorf("the server answered %s to %s: is it of another version?", resp.Status, method)
		}
		return answer, f.err()
	}
	if err := d.Decode(&answer); err != nil {
		return answer, fmt.Errorf("read the server's answer: %w", err)
	}
	return answer, nil
}

// lentReader is a request's body that its owner wants back: the transport may read it for a while after it answered.
type lentReader struct {
	io.Reader
	once   sync.Once
	closed chan struct{}
}

// Close is called by the transport, always.
func (l *lentReader) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *lentReader) wait() { <-l.closed }
