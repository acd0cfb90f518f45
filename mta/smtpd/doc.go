// Package smtpd holds every SMTP conversation that others start with us.
package smtpd
