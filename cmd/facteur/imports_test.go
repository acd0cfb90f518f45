package main

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// floors is the house: a room may import the rooms below it, never one beside or above it. A
// new room stands here, or the test fails; an arrow against the rule is a decision, taken in sideways.
var floors = [][]string{
	0: {"storage/sqlite", "storage/maildir", "storage/message", "mta/dns", "imap/wire", "imap/deflate", "linger"},
	1: {"auth", "auth/sender", "auth/cert", "storage", "mta"},
	2: {"mta/queue", "mta/remote", "mda"},
	3: {"admin", "admin/web", "mta/smtpd", "imap", "pop3", "mta/simulate"},
	4: {"cmd/facteur"},
}

// sideways are the arrows between rooms of one floor, each with its reason.
var sideways = map[string]string{}

// outside are modules that only some rooms may use: SQL, DNS and the like stay in the room
// that owns them.
var outside = map[string][]string{
	"github.com/mattn/go-sqlite3":      {"storage/sqlite"},
	"github.com/miekg/dns":             {"mta/dns"},
	"github.com/caddyserver/certmagic": {"auth/cert"},
	"github.com/spf13/cobra":           {"cmd/facteur"},
	"github.com/pelletier/go-toml/v2":  {"cmd/facteur"},
	// The client of "facteur migrate".
	"github.com/emersion/go-imap/v2":            {"cmd/facteur"},
	"github.com/emersion/go-imap/v2/imapclient": {"cmd/facteur"},
	// Second opinions on what the other rooms do for themselves.
	"github.com/emersion/go-smtp":          {"cmd/facteur"},
	"github.com/emersion/go-msgauth/dkim":  {"cmd/facteur"},
	"github.com/emersion/go-msgauth/dmarc": {"cmd/facteur"},
}

type goPackage struct {
	ImportPath string
	Imports    []string
}

func TestImportsGoDown(t *testing.T) {
	floor := make(map[string]int)
	for i, rooms := range floors {
		for _, room := range rooms {
			floor[room] = i
		}
	}
	for _, p := range listPackages(t) {
		room := strings.TrimPrefix(p.ImportPath, "facteur/")
		from, known := floor[room]
		if outOfTheHouse(room) {
			continue
		}
		if !known {
			t.Errorf("%s stands on no floor", room)
			continue
		}
		for _, path := range p.Imports {
			if allowed, restricted := outside[path]; restricted && !slices.Contains(allowed, room) {
				t.Errorf("%s imports %s, which is for %v", room, path, allowed)
			}
			other, inside := strings.CutPrefix(path, "facteur/")
			if !inside || sideways[room+" -> "+other] != "" {
				continue
			}
			if to, known := floor[other]; !known || to >= from {
				t.Errorf("%s (floor %d) imports %s (floor %d)", room, from, other, to)
			}
		}
	}
}

// outOfTheHouse are programs and tests that look at it from outside.
func outOfTheHouse(room string) bool {
	top, _, _ := strings.Cut(room, "/")
	return slices.Contains([]string{"bench", "test", "torture"}, top)
}

func listPackages(t *testing.T) []goPackage {
	out, err := exec.Command("go", "list", "-tags", "sqlite_fts5", "-json=ImportPath,Imports", "facteur/...").Output()
	if err != nil {
		var failed *exec.ExitError
		if errors.As(err, &failed) {
			t.Fatalf("go list: %s", failed.Stderr)
		}
		t.Fatal(err)
	}
	var list []goPackage
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p goPackage
		if err := d.Decode(&p); err == io.EOF {
			return list
		} else if err != nil {
			t.Fatal(err)
		}
		list = append(list, p)
	}
}
