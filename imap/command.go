package imap

import "context"

// state is a set of the states of RFC 9051 3.
type state uint8

const (
	notAuthenticated state = 1 << iota
	authenticated
	selected

	anyState = notAuthenticated | authenticated | selected
	loggedIn = authenticated | selected
)

// syncRule says what may be told about the selected mailbox at the end of a command.
type syncRule uint8

const (
	// syncNone: the command leaves the mailbox, or says it all itself.
	syncNone syncRule = iota
	// syncFlags: EXISTS and FETCH, but never EXPUNGE or VANISHED: sequence numbers have to
	// hold during FETCH, STORE, SEARCH, SORT and THREAD (RFC 9051 7.5.1, RFC 5256 3).
	syncFlags
	// syncAll: everything.
	syncAll
)

// command is a line of the command table.
type command struct {
	name   string
	states state
	sync   syncRule
	uid    bool   // is a UID form: its numbers are UIDs, its responses hold UIDs
	seqs   bool   // takes message sequence numbers: BAD once UIDONLY is enabled (RFC 9586 3)
	writes bool   // changes the selected mailbox: NO after EXAMINE
	cap    string // the capability it came with: unknown to accounts that it is switched off for
	run    func(s *session, ctx context.Context, r *request) error
}

// commandTable is every command there is. A handler reads its arguments, End included,
// before it does anything; it returns nil for OK, a *response for NO and BAD, or
// the error of a room below, which failure translates.
func commandTable() []command {
	return []command{
		// RFC 9051 6.1
		{name: "CAPABILITY", states: anyState, sync: syncAll, run: (*session).capability},
		{name: "NOOP", states: anyState, sync: syncAll, run: (*session).noop},
		{name: "LOGOUT", states: anyState, run: (*session).logout},
		{name: "ID", states: anyState, sync: syncAll, cap: "ID", run: (*session).id},

		// RFC 9051 6.2
		{name: "STARTTLS", states: notAuthenticated, run: (*session).startTLS},
		{name: "AUTHENTICATE", states: notAuthenticated, run: (*session).authenticate},
		{name: "LOGIN", states: notAuthenticated, run: (*session).logIn},
		{name: "UNAUTHENTICATE", states: loggedIn, cap: "UNAUTHENTICATE", run: (*session).unauthenticate},
		{name: "COMPRESS", states: loggedIn, cap: "COMPRESS=DEFLATE", run: (*session).compress},

		// RFC 9051 6.3
		{name: "ENABLE", states: loggedIn, sync: syncAll, cap: "ENABLE", run: (*session).enable},
		{name: "SELECT", states: loggedIn, run: (*session).selectMailbox},
		{name: "EXAMINE", states: loggedIn, run: (*session).examine},
		{name: "CREATE", states: loggedIn, sync: syncAll, run: (*session).create},
		{name: "DELETE", states: loggedIn, sync: syncAll, run: (*session).deleteMailbox},
		{name: "RENAME", states: loggedIn, sync: syncAll, run: (*session).rename},
		{name: "SUBSCRIBE", states: loggedIn, sync: syncAll, run: (*session).subscribe},
		{name: "UNSUBSCRIBE", states: loggedIn, sync: syncAll, run: (*session).unsubscribe},
		{name: "LIST", states: loggedIn, sync: syncAll, run: (*session).list},
		{name: "LSUB", states: loggedIn, sync: syncAll, run: (*session).lsub},
		{name: "NAMESPACE", states: loggedIn, sync: syncAll, cap: "NAMESPACE", run: (*session).namespace},
		{name: "STATUS", states: loggedIn, sync: syncAll, run: (*session).status},
		{name: "APPEND", states: loggedIn, sync: syncAll, run: (*session).appendMessages},
		{name: "IDLE", states: loggedIn, sync: syncAll, cap: "IDLE", run: (*session).idle},
		{name: "NOTIFY", states: loggedIn, sync: syncAll, cap: "NOTIFY", run: (*session).notify},
		{name: "GETQUOTA", states: loggedIn, sync: syncAll, cap: "QUOTA", run: (*session).getQuota},
		{name: "GETQUOTAROOT", states: loggedIn, sync: syncAll, cap: "QUOTA", run: (*session).getQuotaRoot},
		{name: "SETQUOTA", states: loggedIn, sync: syncAll, cap: "QUOTA", run: (*session).setQuota},
		{name: "GETMETADATA", states: loggedIn, sync: syncAll, cap: "METADATA", run: (*session).getMetadata},
		{name: "SETMETADATA", states: loggedIn, sync: syncAll, cap: "METADATA", run: (*session).setMetadata},
		{name: "ESEARCH", states: loggedIn, sync: syncFlags, uid: true, cap: "MULTISEARCH", run: (*session).multiSearch},

		// RFC 9051 6.4
		{name: "CLOSE", states: selected, run: (*session).closeMailbox},
		{name: "UNSELECT", states: selected, cap: "UNSELECT", run: (*session).unselect},
		{name: "CHECK", states: selected, sync: syncAll, run: (*session).noop},
		{name: "EXPUNGE", states: selected, sync: syncAll, writes: true, run: (*session).expunge},
		{name: "UID EXPUNGE", states: selected, sync: syncAll, uid: true, writes: true, cap: "UIDPLUS", run: (*session).expunge},
		{name: "SEARCH", states: selected, sync: syncFlags, seqs: true, run: (*session).search},
		{name: "UID SEARCH", states: selected, sync: syncAll, uid: true, run: (*session).search},
		{name: "SORT", states: selected, sync: syncFlags, seqs: true, cap: "SORT", run: (*session).sort},
		{name: "UID SORT", states: selected, sync: syncAll, uid: true, cap: "SORT", run: (*session).sort},
		{name: "THREAD", states: selected, sync: syncFlags, seqs: true, run: (*session).thread},
		{name: "UID THREAD", states: selected, sync: syncAll, uid: true, run: (*session).thread},
		{name: "CANCELUPDATE", states: selected, sync: syncAll, cap: "CONTEXT=SEARCH", run: (*session).cancelUpdate},
		{name: "FETCH", states: selected, sync: syncFlags, seqs: true, run: (*session).fetch},
		{name: "UID FETCH", states: selected, sync: syncAll, uid: true, run: (*session).fetch},
		{name: "STORE", states: selected, sync: syncFlags, seqs: true, writes: true, run: (*session).store},
		{name: "UID STORE", states: selected, sync: syncAll, uid: true, writes: true, run: (*session).store},
		{name: "COPY", states: selected, sync: syncAll, seqs: true, run: (*session).copy},
		{name: "UID COPY", states: selected, sync: syncAll, uid: true, run: (*session).copy},
		{name: "MOVE", states: selected, sync: syncAll, seqs: true, writes: true, cap: "MOVE", run: (*session).move},
		{name: "UID MOVE", states: selected, sync: syncAll, uid: true, writes: true, cap: "MOVE", run: (*session).move},
		{name: "REPLACE", states: selected, sync: syncAll, seqs: true, writes: true, cap: "REPLACE", run: (*session).replace},
		{name: "UID REPLACE", states: selected, sync: syncAll, uid: true, writes: true, cap: "REPLACE", run: (*session).replace},
		{name: "UIDBATCHES", states: selected, sync: syncAll, uid: true, cap: "UIDBATCHES", run: (*session).uidBatches},
	}
}
