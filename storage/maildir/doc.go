// Package maildir is the Maildir format on disk and its fsync order: names, file names, flags, delivery. No SQL.
package maildir
