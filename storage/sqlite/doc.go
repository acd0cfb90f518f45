// Package sqlite is opening, pragmas, migrations and transactions of a SQLite file. No mail.
package sqlite
