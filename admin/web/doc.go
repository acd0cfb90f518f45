// Package web is the public HTTP: autoconfig, MTA-STS policy, ACME challenge, health, metrics.
package web
