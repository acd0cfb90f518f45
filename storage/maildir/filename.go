package maildir

import (
	"crypto/rand"
	"encoding/base32"
	"strconv"
	"strings"
	"time"
)

// FileName is what a message's file name says:
//
//	BASE,S=SIZE,W=SIZE,I=UIDVALIDITY-UID[,K=KEYWORDS][,OTHERS]:2,FLAGS
//
// BASE is TIME.UNIQUE.HOST in names of our own, and whatever another program chose
// in its. OTHERS are fields of other programs, which are kept in Base.
type FileName struct {
	Base        string
	Size        int64 // on disk; -1: not known
	Virtual     int64 // with CRLF line ends; -1: not known
	UIDValidity uint32
	UID         uint32 // 0: none
	Keywords    string // two base-36 digits for each keyword from number 26 on
	Flags       string // letters, "" also without ":2,"
}

// ParseFileName reads any name of a file in new or cur.
func ParseFileName(name string) FileName {
	n := FileName{Size: -1, Virtual: -1}
	if i := strings.LastIndex(name, ":2,"); i >= 0 {
		name, n.Flags = name[:i], name[i+3:]
	} else if i := strings.LastIndexByte(name, ':'); i >= 0 {
		name = name[:i] // ":1," was never used for anything
	}
	head, fields, _ := strings.Cut(name, ",")
	n.Base = head
	for fields != "" {
		var field string
		field, fields, _ = strings.Cut(fields, ",")
		if !n.field(field) {
			n.Base += "," + field // another program's
		}
	}
	return n
}

func (n *FileName) field(field string) bool {
	key, value, ok := strings.Cut(field, "=")
	if !ok {
		return field == ""
	}
	switch key {
	case "S":
		return number(value, &n.Size)
	case "W":
		return number(value, &n.Virtual)
	case "I":
		validity, uid, _ := strings.Cut(value, "-")
		v, err1 := strconv.ParseUint(validity, 10, 32)
		u, err2 := strconv.ParseUint(uid, 10, 32)
		if err1 != nil || err2 != nil || v == 0 || u == 0 {
			return false
		}
		n.UIDValidity, n.UID = uint32(v), uint32(u)
		return true
	case "K":
		n.Keywords = value
		return true
	}
	return false
}

func number(s string, to *int64) bool {
	v, err := strconv.ParseUint(s, 10, 62)
	if err == nil {
		*to = int64(v)
	}
	return err == nil
}

// Append appends the name as it stands in new (without info) or in cur. Other programs' fields come last, where mbsync puts its UID: it
// would not find a file again that got another name as soon as that was done.
func (n *FileName) Append(b []byte, info bool) []byte {
	base, others := n.Base, ""
	if i := strings.IndexByte(base, ','); i >= 0 {
		base, others = base[:i], base[i:]
	}
	b = append(b, base...)
	if n.Size >= 0 {
		b = strconv.AppendInt(append(b, ",S="...), n.Size, 10)
	}
	if n.Virtual >= 0 {
		b = strconv.AppendInt(append(b, ",W="...), n.Virtual, 10)
	}
	if n.UID != 0 {
		b = strconv.AppendUint(append(b, ",I="...), uint64(n.UIDValidity), 10)
		b = strconv.AppendUint(append(b, '-'), uint64(n.UID), 10)
	}
	if n.Keywords != "" {
		b = append(append(b, ",K="...), n.Keywords...)
	}
	b = append(b, others...)
	if info {
		b = append(append(b, ":2,"...), n.Flags...)
	}
	return b
}

var unique32 = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// NewUnique returns the UNIQUE of a new message: 80 random bits, so that two
// servers that share a folder, or a clock that jumps, do no harm.
func NewUnique() string {
	var random [10]byte
	rand.Read(random[:]) // never fails
	return "f" + unique32.EncodeToString(random[:])
}

// OwnUnique reports whether s is what NewUnique may have returned.
func OwnUnique(s string) bool {
	if len(s) != 17 || s[0] != 'f' {
		return false
	}
	for i := 1; i < len(s); i++ {
		if c := s[i]; (c < 'a' || c > 'z') && (c < '2' || c > '7') {
			return false
		}
	}
	return true
}

// NewBase puts a BASE together.
func NewBase(now time.Time, unique, host string) string {
	return strconv.FormatInt(now.Unix(), 10) + "." + unique + "." + host
}

// UniqueOf returns the UNIQUE of a base that NewBase made, or "".
func UniqueOf(base string) string {
	_, rest, _ := strings.Cut(base, ".")
	unique, _, _ := strings.Cut(rest, ".")
	if !OwnUnique(unique) {
		return ""
	}
	return unique
}

// SameBase reports whether two BASEs differ only by fields that another program has added, or taken away: mbsync and OfflineIMAP keep
// their UIDs in them.
func SameBase(x, y string) bool {
	x, _, _ = strings.Cut(x, ",")
	y, _, _ = strings.Cut(y, ",")
	return x == y
}

// TimeOf returns the delivery time that a base starts with, in Unix seconds, or 0.
func TimeOf(base string) int64 {
	i := 0
	for i < len(base) && base[i] >= '0' && base[i] <= '9' {
		i++
	}
	t, err := strconv.ParseInt(base[:i], 10, 64)
	if err != nil {
		return 0
	}
	return t
}

// MaxBase is how long a BASE may be so that with all fields the name stays below the
// 255 octets that file systems allow.
const MaxBase = 150

// CleanHost makes a host name safe for file names.
func CleanHost(host string) string {
	clean := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '.' || r == '_' {
			return r
		}
		return '_'
	}, host)
	clean = clean[:min(len(clean), 60)]
	if clean == "" {
		return "localhost"
	}
	return clean
}
