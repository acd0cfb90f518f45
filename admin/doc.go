// Package admin is what an operator can ask of a server, over a unix socket.
package admin
