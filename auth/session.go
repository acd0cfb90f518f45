package auth

import "sync"

// sessions are the logins that live, so that they can be ended.
type sessions struct {
	mu   sync.Mutex
	live map[*session]struct{}
}

type session struct {
	account *account     // as it was at the login
	app     *appPassword // nil: the account's own password
	revoked chan struct{}
	wake    func() // nil: nobody wants it
}

// add makes the Login of a new session.
func (s *sessions) add(account *account, app *appPassword) *Login {
	ses := &session{account: account, app: app, revoked: make(chan struct{})}
	login := &Login{Account: account.Name, Revoked: ses.revoked}
	if app != nil {
		login.AppPassword = app.name
	}
	login.release = func() {
		s.mu.Lock()
		delete(s.live, ses)
		s.mu.Unlock()
	}
	login.whenRevoked = func(wake func()) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if _, ok := s.live[ses]; ok {
			ses.wake = wake
		} else {
			wake()
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.live == nil {
		s.live = make(map[*session]struct{})
	}
	s.live[ses] = struct{}{}
	return login
}

// keep ends the sessions whose login would not succeed any more.
func (s *sessions) keep(valid func(*account, *appPassword) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for ses := range s.live {
		if !valid(ses.account, ses.app) {
			delete(s.live, ses)
			close(ses.revoked)
			if ses.wake != nil {
				ses.wake()
			}
		}
	}
}
