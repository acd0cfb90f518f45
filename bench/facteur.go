package main

import (
	"context"
	"os/exec"
	"strings"
)

// facteur is the demo: the same Daemon as serve, with a made-up domain.
type facteur struct{ bin string }

func (f *facteur) name() string { return "facteur" }

func (f *facteur) version(ctx context.Context, _ string) string {
	out, err := exec.CommandContext(ctx, f.bin, "version").Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(strings.SplitN(string(out), "\n", 2)[0])
}

func (f *facteur) command(ctx context.Context, dir string, fl flags) (*exec.Cmd, error) {
	args := []string{"demo", "--dir", dir + "/data", "--shift", "20000", "--plain-auth"}
	if fl.dns != "" {
		args = append(args, "--dns", fl.dns)
	} else {
		args = append(args, "--check-senders=false")
	}
	if fl.sink != "" {
		args = append(args, "--route", "sink.test="+fl.sink)
	}
	return exec.CommandContext(ctx, f.bin, args...), nil
}

func (f *facteur) addresses() addresses {
	return addresses{mx: "127.0.0.1:22525", submission: "127.0.0.1:22587", imap: "127.0.0.1:22143", imaps: "127.0.0.1:22993"}
}
