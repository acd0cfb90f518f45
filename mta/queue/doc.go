// Package queue keeps what we promised to deliver until it is delivered or bounced. It owns queue.db.
package queue
