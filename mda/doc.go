// Package mda makes the final delivery: one message and one account.
package mda
