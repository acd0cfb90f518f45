// Package imap is the IMAP server engine.
package imap
