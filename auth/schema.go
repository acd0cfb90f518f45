package auth

// schema is server.db, step by step (a released step never changes). Addresses and names are in the
// form of message.AddrSpec.Key; times are seconds since 1970, 0 for none.
var schema = []string{`
CREATE TABLE server (
	secret BLOB NOT NULL
);
CREATE TABLE domains (
	id        INTEGER PRIMARY KEY AUTOINCREMENT,
	name      TEXT    NOT NULL UNIQUE,
	disabled  INTEGER NOT NULL DEFAULT 0,
	catch_all TEXT    NOT NULL DEFAULT '',
	created   INTEGER NOT NULL
);
CREATE TABLE accounts (
	id             INTEGER PRIMARY KEY AUTOINCREMENT,
	name           TEXT    NOT NULL UNIQUE,
	domain         TEXT    NOT NULL REFERENCES domains(name),
	disabled       INTEGER NOT NULL DEFAULT 0,
	created        INTEGER NOT NULL,
	quota_bytes    INTEGER NOT NULL DEFAULT 0,
	quota_messages INTEGER NOT NULL DEFAULT 0,
	send_per_day   INTEGER NOT NULL DEFAULT 0,
	no_caps        TEXT    NOT NULL DEFAULT '',
	hash           TEXT    NOT NULL,
	scram_salt     BLOB    NOT NULL,
	scram          BLOB    NOT NULL
);
CREATE TABLE aliases (
	address TEXT NOT NULL PRIMARY KEY,
	domain  TEXT NOT NULL REFERENCES domains(name),
	targets TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE app_passwords (
	id        INTEGER PRIMARY KEY AUTOINCREMENT,
	account   INTEGER NOT NULL REFERENCES accounts(id) ON DELETE CASCADE,
	name      TEXT    NOT NULL,
	services  TEXT    NOT NULL,
	created   INTEGER NOT NULL,
	expires   INTEGER NOT NULL,
	last_used INTEGER NOT NULL DEFAULT 0,
	last_from TEXT    NOT NULL DEFAULT '',
	digest    BLOB    NOT NULL,
	scram     BLOB    NOT NULL,
	UNIQUE (account, name)
);
CREATE TABLE visits (
	account TEXT    NOT NULL,
	network TEXT    NOT NULL,
	at      INTEGER NOT NULL,
	PRIMARY KEY (account, network)
) WITHOUT ROWID;
`}
