// Package debian gives tests and benchmarks the servers they are compared with, without touching
// the machine: Debian's packages are installed into an overlay over the machine's own root, and
// run in a mount namespace of their own. Nothing outside the overlay's folder changes, no system
// service is started or stopped, and when the last process ends the mounts are gone.
//
// It needs root that may mount, Linux with overlayfs, apt and, the first time, Debian's mirrors;
// Open says ErrUnavailable where one is missing.
package debian
