package queue

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"facteur/mta"
	"facteur/storage/sqlite"
)

// large is a message whose body stands in a spool file.
func large(from, to string) *mta.Message {
	m := newMail(from, to)
	m.Body = mta.BodyBytes([]byte("Subject: big\r\n\r\n" + strings.Repeat("0123456789\r\n", 100000)))
	return m
}

// errorCount is a handler that counts errors.
type errorCount struct {
	slog.Handler
	n int
}

func (c *errorCount) Handle(ctx context.Context, r slog.Record) error {
	if r.Level >= slog.LevelError {
		c.n++
	}
	return c.Handler.Handle(ctx, r)
}

// TestLostOctetsFailTheMessageOnce: what can't come back isn't waited for, and the sender hears of it.
func TestLostOctetsFailTheMessageOnce(t *testing.T) {
	for name, lose := range map[string]func(q *Queue, file string) error{
		"the file is gone":  func(_ *Queue, file string) error { return os.Remove(file) },
		"the file is short": func(_ *Queue, file string) error { return os.Truncate(file, 100) },
		"the row is gone": func(q *Queue, _ string) error {
			return q.commit.do(func(tx *sqlite.Tx) error { _, err := tx.Exec("DELETE FROM body"); return err })
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				home, away := &peer{}, &peer{}
				cfg := testConfig(t, map[string]Transport{"*": away, "home.test": home})
				errors := &errorCount{Handler: cfg.Log.Handler()}
				cfg.Log = slog.New(errors)
				dir := t.TempDir()
				q := open(t, dir, cfg)
				m := large("a@home.test", "b@x.test")
				add(t, q, m)
				file := filepath.Join(dir, "spool", string(m.ID))
				if err := lose(q, file); err != nil {
					t.Fatal(err)
				}
				defer running(t, q)()
				time.Sleep(10 * time.Hour)
				synctest.Wait()
				if n := len(away.seen()); n != 0 {
					t.Errorf("sent %d times", n)
				}
				told := home.seen()
				if len(told) != 1 {
					t.Fatalf("the sender got %d reports", len(told))
				}
				octets, _ := told[0].m.Body.Bytes()
				checkReport(t, octets, 2)
				for _, want := range []string{"Status: 5.3.0", "Final-Recipient: rfc822; b@x.test", "Of your message itself nothing can be returned"} {
					if !strings.Contains(string(octets), want) {
						t.Errorf("the report lacks %q:\n%s", want, octets)
					}
				}
				if errors.n != 1 {
					t.Errorf("%d errors logged, want 1", errors.n)
				}
				if left := jobs(t, q); len(left) != 0 {
					t.Errorf("left: %+v", left)
				}
				if _, err := os.Stat(file); !os.IsNotExist(err) {
					t.Errorf("the spool file stays: %v", err)
				}
			})
		})
	}
}

// TestUnreadableMessageIsTriedAgain: an error that may pass costs an hour and no mail.
func TestUnreadableMessageIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		away := &peer{}
		dir := t.TempDir()
		q := open(t, dir, testConfig(t, map[string]Transport{"*": away, "home.test": &peer{}}))
		add(t, q, large("a@home.test", "b@x.test"))
		spool := filepath.Join(dir, "spool")
		if err := os.Rename(spool, spool+".away"); err != nil {
			t.Fatal(err)
		}
		defer running(t, q)()
		time.Sleep(90 * time.Minute)
		synctest.Wait()
		if left := jobs(t, q); len(left) != 1 || len(away.seen()) != 0 {
			t.Errorf("%d tries, left: %+v", len(away.seen()), left)
		}
		if err := os.Rename(spool+".away", spool); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if n := len(away.seen()); n != 1 {
			t.Errorf("delivered %d times", n)
		}
	})
}

// TestDropRemovesTheSpoolFile at once, but not before the last job of the message is dropped.
func TestDropRemovesTheSpoolFile(t *testing.T) {
	dir := t.TempDir()
	q := open(t, dir, testConfig(t, map[string]Transport{"*": &peer{}}))
	defer q.Close()
	m := large("", "b@x.test")
	m.Env.To = append(m.Env.To, mta.Recipient{Address: addr("c@y.test")})
	add(t, q, m)
	file := filepath.Join(dir, "spool", string(m.ID))
	if n, err := q.Drop(t.Context(), Filter{Dest: "x.test"}); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	if _, err := os.Stat(file); err != nil {
		t.Errorf("y.test's part has lost its octets: %v", err)
	}
	if n, err := q.Drop(t.Context(), Filter{Dest: "y.test"}); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	if _, err := os.Stat(file); !os.IsNotExist(err) {
		t.Errorf("the spool file stays: %v", err)
	}
}

// TestBodyWithASmallerHeader: a message in a file whose header was cut to what fits into a row, as on submission,
// where Bcc is taken out.
func TestBodyWithASmallerHeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const bcc, rest = "Bcc: carol@home.test\r\n", "Subject: hi\r\n\r\n"
		text := strings.Repeat("0123456789\r\n", maxRow/12-1)
		file, err := os.Create(t.TempDir() + "/in")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := file.WriteString(bcc + rest + text); err != nil {
			t.Fatal(err)
		}
		m := newMail("a@home.test", "b@x.test")
		size := int64(len(bcc) + len(rest) + len(text))
		m.Body = mta.BodyFile(file, size, int64(len(bcc)+len(rest)), true).WithHeader([]byte(rest))
		if m.Body.Size() > maxRow || size <= maxRow {
			t.Fatalf("%d octets of %d", m.Body.Size(), size)
		}
		var got []byte
		p := &peer{answer: func(m *mta.Message, _ mta.Recipient) mta.Result {
			got = make([]byte, m.Body.Size())
			if _, err := m.Body.Reader().ReadAt(got, 0); err != nil {
				return mta.Result{Err: mta.TempFail(err)}
			}
			return mta.Result{RemoteMTA: "mx.test"}
		}}
		home := &peer{}
		q := open(t, t.TempDir(), testConfig(t, map[string]Transport{"*": p, "home.test": home}))
		defer running(t, q)()
		add(t, q, m)
		if err := m.Body.Close(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if string(got) != rest+text || len(home.seen()) != 0 || len(jobs(t, q)) != 0 {
			t.Errorf("%d octets arrived of %d, the sender got %d reports", len(got), m.Body.Size(), len(home.seen()))
		}
	})
}
