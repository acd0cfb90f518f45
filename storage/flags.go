package storage

import (
	"fmt"
	"slices"
	"strings"
)

// Limits of keywords. A file name has room for some sixty of those that have no letter.
const (
	maxKeywords        = 1000
	maxMessageKeywords = 100
	maxExtra           = 60
)

// flagSet is a set of flags that messages of a mailbox have, kept once.
type flagSet struct {
	flags   Flags
	letters string // after ":2,", sorted
	extra   string // K=: two base-36 digits for each keyword from number 26 on
}

// forwarded is the one keyword that Maildir has a letter for: P, "passed".
const forwarded = "$Forwarded"

var systemLetters = [...]struct {
	letter byte
	flag   uint8
}{{'D', Draft}, {'F', Flagged}, {'R', Answered}, {'S', Seen}, {'T', Deleted}}

// flagSets hands out the numbers of flag sets. It belongs to one mailbox and is guarded by
// its lock.
type flagSets struct {
	sets     []flagSet
	keys     []string          // of sets, as the index keeps them
	numbers  map[string]uint32 // by key
	keywords []string
	index    map[string]int // of keywords, in lower case
}

func newFlagSets(keywords []string) *flagSets {
	fs := &flagSets{numbers: map[string]uint32{}, index: map[string]int{}}
	for _, k := range keywords {
		fs.index[strings.ToLower(k)] = len(fs.keywords)
		fs.keywords = append(fs.keywords, k)
	}
	fs.number(Flags{}) // number 0: no flags
	return fs
}

// missing returns the keywords of f that the mailbox doesn't know yet.
func (fs *flagSets) missing(f Flags) []string {
	var missing []string
	for _, k := range f.Keywords {
		if _, ok := fs.index[strings.ToLower(k)]; !ok && !containsFold(missing, k) {
			missing = append(missing, k)
		}
	}
	return missing
}

// learn adds the keywords of f that the mailbox doesn't know. Their numbers are in use as soon
// as the text file has them. Where no message could have all of f it learns nothing.
func (fs *flagSets) learn(f Flags) error {
	known := len(fs.keywords)
	for _, k := range fs.missing(f) {
		fs.index[strings.ToLower(k)] = len(fs.keywords)
		// Snapshots share the list: it only grows.
		fs.keywords = append(fs.keywords, k)
	}
	err := fs.fits(f)
	if err != nil {
		fs.forget(known)
	}
	return err
}

// fits reports by ErrLimit that there is no room for the keywords of f, which all have numbers.
func (fs *flagSets) fits(f Flags) error {
	if len(fs.keywords) > maxKeywords {
		return fmt.Errorf("%d keywords in one mailbox: %w", maxKeywords, ErrLimit)
	}
	indexes, err := fs.indexes(f)
	if err == nil {
		_, err = fs.makeSet(f.System, indexes)
	}
	return err
}

// forget takes back what learn added after the first n.
func (fs *flagSets) forget(n int) {
	for _, k := range fs.keywords[n:] {
		delete(fs.index, strings.ToLower(k))
	}
	fs.keywords = fs.keywords[:n:n]
}

// number returns the number of the set f, whose keywords are all known. The error
// is ErrLimit.
func (fs *flagSets) number(f Flags) (uint32, error) {
	indexes, err := fs.indexes(f)
	if err != nil {
		return 0, err
	}
	key := setKey(f.System, indexes)
	if n, ok := fs.numbers[key]; ok {
		return n, nil
	}
	set, err := fs.makeSet(f.System, indexes)
	if err != nil {
		return 0, err
	}
	n := uint32(len(fs.sets))
	fs.sets = append(fs.sets, set)
	fs.keys = append(fs.keys, key)
	fs.numbers[key] = n
	return n, nil
}

// indexes lists the numbers of the keywords of f, ascending.
func (fs *flagSets) indexes(f Flags) ([]int, error) {
	indexes := make([]int, 0, len(f.Keywords))
	for _, k := range f.Keywords {
		i, ok := fs.index[strings.ToLower(k)]
		if !ok {
			return nil, fmt.Errorf("keyword %q has no number", k)
		}
		indexes = append(indexes, i)
	}
	slices.Sort(indexes)
	return slices.Compact(indexes), nil
}

func setKey(system uint8, indexes []int) string {
	b := make([]byte, 1, 1+2*len(indexes))
	b[0] = system
	for _, i := range indexes {
		b = append(b, byte(i>>8), byte(i))
	}
	return string(b)
}

func (fs *flagSets) makeSet(system uint8, indexes []int) (flagSet, error) {
	if len(indexes) > maxMessageKeywords {
		return flagSet{}, fmt.Errorf("%d keywords on one message: %w", maxMessageKeywords, ErrLimit)
	}
	set := flagSet{flags: Flags{System: system}}
	var letters, extra []byte
	for _, s := range systemLetters {
		if system&s.flag != 0 {
			letters = append(letters, s.letter)
		}
	}
	for _, i := range indexes {
		k := fs.keywords[i]
		set.flags.Keywords = append(set.flags.Keywords, k)
		switch {
		case strings.EqualFold(k, forwarded):
			letters = append(letters, 'P')
		case i < 26:
			letters = append(letters, 'a'+byte(i))
		default:
			extra = append(extra, base36[i/36], base36[i%36])
		}
	}
	if len(extra) > 2*maxExtra {
		return flagSet{}, fmt.Errorf("too many keywords for a file name: %w", ErrLimit)
	}
	slices.Sort(letters)
	set.letters, set.extra = string(letters), string(extra)
	slices.SortFunc(set.flags.Keywords, func(a, b string) int { return strings.Compare(strings.ToLower(a), strings.ToLower(b)) })
	return set, nil
}

const base36 = "0123456789abcdefghijklmnopqrstuvwxyz"

// fromName returns the set that a file name says, with letters that have no keyword
// left out.
func (fs *flagSets) fromName(letters, extra string) Flags {
	var f Flags
	for i := 0; i < len(letters); i++ {
		c := letters[i]
		for _, s := range systemLetters {
			if s.letter == c {
				f.System |= s.flag
			}
		}
		if c == 'P' {
			f.Keywords = append(f.Keywords, forwarded)
		}
		if i := int(c) - 'a'; i >= 0 && i < 26 && i < len(fs.keywords) {
			f.Keywords = append(f.Keywords, fs.keywords[i])
		}
	}
	for ; len(extra) >= 2; extra = extra[2:] {
		hi, lo := strings.IndexByte(base36, extra[0]), strings.IndexByte(base36, extra[1])
		if i := hi*36 + lo; hi >= 0 && lo >= 0 && i >= 26 && i < len(fs.keywords) {
			f.Keywords = append(f.Keywords, fs.keywords[i])
		}
	}
	return f
}

// fewSets are always kept.
const fewSets = 1000

// dropSets renumbers the sets of flags when many are kept, without those that no message has any more. It is called before an operation
// asks for a set's number. The lock is held.
func (m *Mailbox) dropSets() {
	if len(m.flags.sets) <= max(m.sets, fewSets) {
		return
	}
	s, fresh := m.snap.Load(), newFlagSets(m.flags.keywords)
	became := map[uint32]uint32{}
	all := make([]int, s.Len())
	for i := range all {
		all[i] = i
		was := s.recAt(i).setID()
		if _, ok := became[was]; !ok {
			n, err := fresh.number(s.sets[was].flags)
			if err != nil {
				return // it had room before
			}
			became[was] = n
		}
	}
	m.flags, m.sets = fresh, 2*len(fresh.sets)
	m.publish(m.base().changed(all, func(_ int, r *rec) { r.set = r.set&inNew | became[r.setID()] }))
}

// apply works out what Store makes of a message's flags.
func (op FlagOp) apply(old, arg Flags) Flags {
	switch op {
	case FlagsSet:
		return arg
	case FlagsAdd:
		f := Flags{System: old.System | arg.System, Keywords: slices.Clone(old.Keywords)}
		for _, k := range arg.Keywords {
			if !containsFold(f.Keywords, k) {
				f.Keywords = append(f.Keywords, k)
			}
		}
		return f
	default:
		f := Flags{System: old.System &^ arg.System}
		for _, k := range old.Keywords {
			if !containsFold(arg.Keywords, k) {
				f.Keywords = append(f.Keywords, k)
			}
		}
		return f
	}
}

func containsFold(list []string, s string) bool {
	return slices.ContainsFunc(list, func(t string) bool { return strings.EqualFold(s, t) })
}
