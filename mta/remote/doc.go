// Package remote holds every SMTP conversation that we start.
package remote
