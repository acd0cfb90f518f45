package imap

import (
	"context"
	"fmt"

	"facteur/imap/wire"
)

// sort is RFC 5256, with RETURN as in RFC 5267 3 (ESORT).
func (s *session) sort(ctx context.Context, r *request) error {
	d := s.dec
	d.SP()
	opts := parseReturn(d)
	keys := parseSortKeys(d)
	d.SP()
	charset := d.AString()
	d.SP()
	key, err := s.searchKeys(charset)
	if err != nil {
		return s.notSaved(&opts, err)
	}
	if opts.update {
		return bad("UPDATE is possible with SEARCH only")
	}
	found, err := s.lookUp(ctx, r, key)
	if err != nil {
		return s.notSaved(&opts, err)
	}
	p := s.progress(r)
	order, err := patiently(p, func() ([]int, error) { return s.searcher(s.view, p).sort(ctx, found, keys) })
	if err != nil {
		return s.notSaved(&opts, err)
	}
	if opts.save { // what MIN, MAX and PARTIAL mean is of the order (RFC 5267 3.1)
		s.saved = toSave(s.view, &opts, order)
	}
	if opts.given {
		if opts.wants() {
			a := &searchAnswer{session: s, uid: r.cmd.uid, modSeq: key.usesModSeq(), sorted: true}
			a.correlator = fmt.Sprintf("TAG %s", wire.AppendString(nil, r.tag, false))
			a.write(s.view, &opts, order)
		}
		return nil
	}
	s.writeNumbers("SORT", r, key, order)
	return nil
}

// lookUp searches in the mailbox as it is now.
func (s *session) lookUp(ctx context.Context, r *request, key *searchKey) ([]int, error) {
	if key.usesModSeq() {
		s.useCondstore()
	}
	r.numbers = key.usesNumbers()
	if err := s.refresh(ctx, r); err != nil {
		return nil, err
	}
	return s.find(ctx, r, key)
}

// thread is RFC 5256.
func (s *session) thread(ctx context.Context, r *request) error {
	d := s.dec
	d.SP()
	name := d.Keyword()
	algorithm := findThreadAlgorithm(name)
	if algorithm == nil || s.switchedOff("THREAD="+name) {
		d.Fail("unknown threading algorithm")
	}
	d.SP()
	charset := d.AString()
	d.SP()
	key, err := s.searchKeys(charset)
	if err != nil {
		return err
	}
	found, err := s.lookUp(ctx, r, key)
	if err != nil {
		return err
	}
	p := s.progress(r)
	threads, err := patiently(p, func() ([]*thread, error) { return s.searcher(s.view, p).thread(ctx, found, algorithm) })
	if err != nil {
		return err
	}
	s.out.printf("* THREAD")
	for k := range threads {
		if k == 0 {
			s.out.printf(" ")
		}
		s.out.buf = appendThreads(s.out.buf, threads[k:k+1], func(i int) uint32 { return s.view.number(i, r.cmd.uid) })
		s.out.spill()
	}
	s.out.printf("\r\n")
	return nil
}
