package storage

import (
	"crypto/sha256"
	"database/sql"
	"encoding/base32"
	"encoding/binary"
	"errors"
	"strings"

	"facteur/storage/maildir"
	"facteur/storage/message"
	"facteur/storage/sqlite"
)

// Object IDs (RFC 8474) are worked out from what the files hold, so that they outlive the
// index: an EmailID from the UNIQUE in the file name, which copies and
// moves keep; a ThreadID from the first message's Message-ID.

var idEncoding = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// emailID is "E" and the UNIQUE of our own names; of other programs' it is a hash, without the fields that one may add later.
func emailID(base string) string {
	if u := maildir.UniqueOf(base); u != "" {
		return "E" + u
	}
	base, _, _ = strings.Cut(base, ",")
	sum := sha256.Sum256([]byte(base))
	return "X" + idEncoding.EncodeToString(sum[:10])
}

// uniqueFor returns the UNIQUE that gives the wanted EmailID, or a new one.
func uniqueFor(email string) string {
	if u, ok := strings.CutPrefix(email, "E"); ok && maildir.OwnUnique(u) {
		return u
	}
	return maildir.NewUnique()
}

func threadID(n uint64) string {
	var raw [8]byte
	binary.BigEndian.PutUint64(raw[:], n)
	return "T" + idEncoding.EncodeToString(raw[:])
}

func hashID(s string) uint64 {
	sum := sha256.Sum256([]byte(s))
	return binary.BigEndian.Uint64(sum[:8])
}

// references are hashes of the Message-IDs that a message names: those it follows,
// the oldest first, and its own.
type references struct {
	before []uint64
	self   uint64 // 0: none
}

// maxReferences bounds what one message can add to the index.
const maxReferences = 20

func referencesOf(e *message.Envelope) references {
	var r references
	for _, id := range messageIDs(e.References.Value + " " + e.InReplyTo.Value) {
		if len(r.before) < maxReferences {
			r.before = append(r.before, hashID(id))
		}
	}
	if ids := messageIDs(e.MessageID.Value); len(ids) > 0 {
		r.self = hashID(ids[0])
	}
	return r
}

// messageIDs finds the <...> in a field.
func messageIDs(s string) []string {
	var ids []string
	for {
		i := strings.IndexByte(s, '<')
		if i < 0 {
			return ids
		}
		s = s[i+1:]
		j := strings.IndexByte(s, '>')
		if j < 0 {
			return ids
		}
		if id := strings.TrimSpace(s[:j]); id != "" {
			ids = append(ids, id)
		}
		s = s[j+1:]
	}
}

// guess is what thread says when the index knows nothing.
func (r references) guess(email string) uint64 {
	switch {
	case len(r.before) > 0:
		return r.before[0]
	case r.self != 0:
		return r.self
	}
	return hashID(email)
}

// thread looks up which thread a message belongs to, and notes its Message-IDs. A
// thread that nobody has seen yet is named after the oldest Message-ID.
func (r references) thread(tx *sqlite.Tx, email string) (uint64, error) {
	ids := r.before
	if r.self != 0 {
		ids = append(ids[:len(ids):len(ids)], r.self)
	}
	if len(ids) == 0 {
		return hashID(email), nil
	}
	thread := ids[0]
	for _, id := range ids {
		var known int64
		err := tx.QueryRow("SELECT thread FROM ref WHERE hash=?", int64(id)).Scan(&known)
		if err == nil {
			thread = uint64(known)
			break
		}
		if !errors.Is(err, sql.ErrNoRows) {
			return 0, err
		}
	}
	for _, id := range ids {
		if _, err := tx.Exec("INSERT OR IGNORE INTO ref (hash, thread) VALUES (?,?)", int64(id), int64(thread)); err != nil {
			return 0, err
		}
	}
	return thread, nil
}

// refSlices: a tidy goes through one of so many parts of the table, since it may hold millions of references, and others wait meanwhile.
const refSlices = 256

// tidyReferences forgets references to threads of which no message is left. Another that names one of their Message-IDs gets the
// same ThreadID by thread, or is the first of its own.
func tidyReferences(tx *sqlite.Tx, slice uint64) error {
	first := slice % refSlices << 56
	_, err := tx.Exec("DELETE FROM ref WHERE hash BETWEEN ? AND ? AND NOT EXISTS (SELECT 1 FROM detail WHERE detail.thread=ref.thread)",
		int64(first), int64(first|(1<<56-1)))
	return err
}
