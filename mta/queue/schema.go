package queue

// migrations are the steps of queue.db's schema. Times are microseconds of Unix
// time.
//
// A message stands in message until its history is pruned; its octets stand in
// body until its last job ends, those of a large one in a spool file. A job is what
// one destination has to do with one message: its recipients still open. A row of
// event says what one try came to.
func migrations() []string {
	return []string{`
CREATE TABLE message (
	num     INTEGER PRIMARY KEY,
	id      TEXT NOT NULL UNIQUE,
	arrived INTEGER NOT NULL,
	sender  TEXT NOT NULL,
	size    INTEGER NOT NULL,
	meta    TEXT NOT NULL,
	done    INTEGER
);
CREATE INDEX message_done ON message (done) WHERE done IS NOT NULL;
CREATE TABLE body (
	message INTEGER PRIMARY KEY REFERENCES message,
	header  INTEGER NOT NULL,
	prefix  BLOB,
	data    BLOB
);
CREATE TABLE job (
	num        INTEGER PRIMARY KEY,
	message    INTEGER NOT NULL REFERENCES message,
	dest       TEXT NOT NULL,
	next       INTEGER NOT NULL,
	attempts   INTEGER NOT NULL DEFAULT 0,
	held       INTEGER NOT NULL DEFAULT 0,
	warned     INTEGER NOT NULL DEFAULT 0,
	recipients TEXT NOT NULL,
	last       TEXT NOT NULL DEFAULT ''
);
CREATE INDEX job_message ON job (message);
CREATE INDEX job_next ON job (next) WHERE held = 0;
CREATE INDEX job_dest ON job (dest, next) WHERE held = 0;
CREATE TABLE event (
	num     INTEGER PRIMARY KEY,
	message INTEGER NOT NULL REFERENCES message,
	at      INTEGER NOT NULL,
	data    TEXT NOT NULL
);
CREATE INDEX event_message ON event (message);
CREATE TABLE sent (
	account  TEXT NOT NULL,
	hour     INTEGER NOT NULL,
	messages INTEGER NOT NULL,
	fresh    INTEGER NOT NULL,
	PRIMARY KEY (account, hour)
) WITHOUT ROWID;
CREATE TABLE correspondent (
	account TEXT NOT NULL,
	address TEXT NOT NULL,
	PRIMARY KEY (account, address)
) WITHOUT ROWID;
`}
}
