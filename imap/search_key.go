package imap

import (
	"time"

	"facteur/imap/wire"
	"facteur/storage"
)

// searchOp is what a search key asks (RFC 9051 6.4.4 unless said otherwise). They stand in
// the order of what an answer costs: up to opModSeq the mailbox's table knows it, up to
// opAddress the index, beyond it the message has to be read.
type searchOp uint8

const (
	opAll searchOp = iota
	opNot
	opAnd
	opOr
	opSeqSet
	opUIDSet
	opSaved // "$" (RFC 5182)
	opFlag
	opKeyword
	opRecent
	opBefore
	opOn
	opSince
	opOlder   // RFC 5032
	opYounger // RFC 5032
	opLarger
	opSmaller
	opModSeq // RFC 7162 3.1.5

	opEmailID     // RFC 8474 6
	opThreadID    // RFC 8474 6
	opSavedBefore // RFC 8514 4.3
	opSavedOn
	opSavedSince
	opSentBefore
	opSentOn
	opSentSince
	opSubject
	opEnvelope // HEADER of a field that the envelope has
	opAddress

	opHeader // HEADER of another field
	opText
	opBody
)

// searchKey is one node of a search program.
type searchKey struct {
	op     searchOp
	keys   []searchKey // of opNot (one), opAnd, opOr
	set    wire.Set    // of opSeqSet, opUIDSet
	flag   uint8       // a system flag
	name   string      // a keyword in lower case, or a field's name in lower case
	text   string      // folded by message.Fold; an object ID as it is
	number uint64      // octets or seconds
	modSeq storage.ModSeq
	day    int64 // days since 1970

	// What resolve finds out before the search.
	ranges   wire.Ranges      // of sets
	seconds  int64            // opOlder, opYounger: the moment it means
	narrowed bool             // only UIDs in maybe can match
	maybe    [2][]storage.UID // each ascending
}

// day numbers the days, so that dates are compared without regard to time and zone.
func dayOf(t time.Time) int64 {
	year, month, day := t.Date()
	return time.Date(year, month, day, 0, 0, 0, 0, time.UTC).Unix() / 86400
}

// usesModSeq reports whether MODSEQ is in the program: then the answer holds the highest
// one of what was found (RFC 7162 3.1.5).
func (k *searchKey) usesModSeq() bool {
	if k.op == opModSeq {
		return true
	}
	for i := range k.keys {
		if k.keys[i].usesModSeq() {
			return true
		}
	}
	return false
}
