package queue

import (
	"bytes"
	"context"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"facteur/mta"
	"facteur/storage/sqlite"
)

// powerCut is what a disk holds of queue.db: all that was synced, which is the log up to an Add that was acknowledged,
// and anything of what came later.
type powerCut struct {
	t       *testing.T
	dir     string
	db, log []byte
	sure    int    // octets of log that were synced with the first message
	pages   []byte // of the file as a checkpoint makes it
	acked   string
	unsure  string
}

// newPowerCut adds two messages; only the first one's sync is sure.
func newPowerCut(t *testing.T) *powerCut {
	dir := t.TempDir()
	q := open(t, dir, testConfig(t, map[string]Transport{"*": &peer{}}))
	first, second := newMail("a@home.test", "b@x.test"), newMail("a@home.test", "b@x.test", "c@y.test")
	second.Body = mta.BodyBytes([]byte("Subject: x\r\n\r\n" + strings.Repeat("0123456789\r\n", 2000)))
	add(t, q, first)
	before := image(t, dir)
	add(t, q, second)
	after := image(t, dir)
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	p := &powerCut{t: t, dir: t.TempDir(), acked: string(first.ID), unsure: string(second.ID)}
	p.db, p.log, p.pages = p.read(after, "queue.db"), p.read(after, "queue.db-wal"), p.read(dir, "queue.db")
	start := p.read(before, "queue.db-wal")
	p.sure = len(start)
	if !bytes.HasPrefix(p.log, start) || len(p.log) < p.sure+10000 || !bytes.Equal(p.db, p.read(before, "queue.db")) {
		t.Fatalf("the log did not simply grow: from %d octets to %d", len(start), len(p.log))
	}
	return p
}

func (p *powerCut) read(dir, name string) []byte {
	p.t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		p.t.Fatal(err)
	}
	return b
}

// restart opens the queue on what is left, and returns the messages that are in it.
func (p *powerCut) restart(db, log []byte) []string {
	p.t.Helper()
	os.Remove(filepath.Join(p.dir, "queue.db-shm"))
	for name, b := range map[string][]byte{"queue.db": db, "queue.db-wal": log} {
		if err := os.WriteFile(filepath.Join(p.dir, name), b, 0o600); err != nil {
			p.t.Fatal(err)
		}
	}
	q := open(p.t, p.dir, testConfig(p.t, nil))
	defer q.Close()
	if found, err := q.Verify(context.Background()); err != nil || len(found) > 0 {
		p.t.Errorf("verify: %v, %v", found, err)
	}
	var ids []string
	for _, item := range jobs(p.t, q) {
		ids = append(ids, string(item.ID))
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// TestPowerCutAfterAdd: what was written after the last sync is cut off anywhere, and what stands behind it is
// nothing, zeros or old octets of the disk. What Add has acknowledged is there, the other message whole or not at all.
func TestPowerCutAfterAdd(t *testing.T) {
	p := newPowerCut(t)
	rnd := rand.New(rand.NewPCG(1, 2))
	const frame = 4096 + 24 // SQLite's file format, 4.1
	var cuts []int
	for at := p.sure; at <= len(p.log); at += frame {
		cuts = append(cuts, at-1, at, at+1, at+24, at+25, at+rnd.IntN(frame))
	}
	for _, cut := range cuts {
		if cut < p.sure || cut > len(p.log) {
			continue
		}
		garbage := make([]byte, 2*frame)
		for i := range garbage {
			garbage[i] = byte(rnd.Uint32())
		}
		for name, tail := range map[string][]byte{"nothing": nil, "zeros": make([]byte, frame), "garbage": garbage} {
			ids := p.restart(p.db, append(p.log[:cut:cut], tail...))
			if !slices.Contains(ids, p.acked) {
				t.Errorf("cut off at %d with %s behind it: the first message is lost", cut-p.sure, name)
			}
			if whole := cut == len(p.log); slices.Contains(ids, p.unsure) != whole {
				t.Errorf("cut off at %d of %d with %s behind it: %v", cut-p.sure, len(p.log)-p.sure, name, ids)
			}
		}
	}
}

// TestPowerCutInACheckpoint: some pages of the log have got into the file, others not.
func TestPowerCutInACheckpoint(t *testing.T) {
	p := newPowerCut(t)
	rnd := rand.New(rand.NewPCG(3, 4))
	for range 30 {
		db := slices.Clone(p.db)
		for at := 0; at < len(p.pages); at += 512 { // a sector is the least that a disk writes
			if rnd.IntN(2) == 0 {
				db = append(db, make([]byte, max(0, at+512-len(db)))...)
				copy(db[at:at+512], p.pages[at:])
			}
		}
		if ids := p.restart(db, p.log); len(ids) != 2 {
			t.Fatalf("left: %v", ids)
		}
	}
}

// TestSyncsEachCommit: the other tests take for granted that the log is synced before Add returns.
func TestSyncsEachCommit(t *testing.T) {
	q := open(t, t.TempDir(), testConfig(t, nil))
	defer q.Close()
	var mode string
	var synchronous int
	err := q.db.Write(context.Background(), func(tx *sqlite.Tx) error {
		if err := tx.QueryRow("PRAGMA journal_mode").Scan(&mode); err != nil {
			return err
		}
		return tx.QueryRow("PRAGMA synchronous").Scan(&synchronous)
	})
	if err != nil || mode != "wal" || synchronous != 2 { // 2: FULL
		t.Errorf("journal_mode=%s, synchronous=%d, %v", mode, synchronous, err)
	}
}
