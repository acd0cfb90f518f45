package imap

import (
	"context"

	"facteur/imap/wire"
	"facteur/storage"
)

type savedResult struct{ set wire.Ranges }

func (r savedResult) ranges() wire.Ranges { return r.set }

type searchContext struct{}
type notifySet struct{ selected notifyEvents }
type notifyEvents struct{}

func (notifyEvents) active() bool                                     { return true }
func (s *session) contextsGone([]int)                                 {}
func (s *session) contextsChanged()                                   {}
func (s *session) newForNotify(int, storage.Entry)                    {}
func (s *session) wantsFlagChanges() bool                             { return true }
func (s *session) dropNotify()                                        {}
func (s *session) reportNotify(context.Context) error                 { return nil }
func (s *session) notify(context.Context, *request) error             { return bad("x") }
func (s *session) search(context.Context, *request) error             { return bad("x") }
func (s *session) sort(context.Context, *request) error               { return bad("x") }
func (s *session) thread(context.Context, *request) error             { return bad("x") }
func (s *session) multiSearch(context.Context, *request) error        { return bad("x") }
func (s *session) cancelUpdate(context.Context, *request) error       { return bad("x") }
