//go:build !sqlite_fts5 && !fts5

package main

// hasFTS5 says whether SQLite was built with full-text search.
const hasFTS5 = false
