package main

import (
	"context"
	_ "embed"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/emersion/go-imap/v2"
)

//go:embed thunderbird.js
var thunderbirdJS string

// startThunderbird gives Thunderbird a screen that Xvfb keeps in a file of the shared folder.
const startThunderbird = `cd "$HOME"
Xvfb -displayfd 3 -screen 0 1280x900x24 -fbdir . -nolisten tcp 3>display &
until [ -s display ]; do sleep 0.1; done
export DISPLAY=:$(cat display)
exec thunderbird --profile "$HOME/profile" --no-remote --marionette --remote-allow-system-access`

func thunderbird(ctx context.Context, s *stage) error {
	port, err := freePort()
	if err != nil {
		return err
	}
	if err := os.Mkdir(s.path("shared", "profile"), 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(s.path("shared", "profile", "user.js"), []byte(thunderbirdPrefs(s.demo, port)), 0o600); err != nil {
		return err
	}
	log := s.path("shared", "imap.log")
	stop, err := s.session(ctx, []string{"thunderbird", "xvfb", "fonts-dejavu-core"},
		[]string{"MOZ_LOG=IMAP:4,SMTP:4,timestamp", "MOZ_LOG_FILE=" + log}, "sh", "-c", startThunderbird)
	if err != nil {
		return err
	}
	defer stop()
	m, err := dialMarionette(ctx, port)
	if err != nil {
		return err
	}
	defer m.conn.Close()
	t := &bird{stage: s, m: m}
	err = play(ctx, t.steps(), func(name string) error {
		time.Sleep(300 * time.Millisecond) // windows are painted a little later; only the picture depends on it
		return savePNG(s.path("shared", "Xvfb_screen0"), s.path(name+".png"))
	})
	if err != nil {
		return err
	}
	return s.noComplaints(log + ".moz_log")
}

// bird is Thunderbird as bob has it.
type bird struct {
	*stage
	m *marionette
}

// do calls a function of thunderbird.js.
func (t *bird) do(function string, args ...any) error {
	_, err := t.m.do(thunderbirdJS, function, args...)
	return err
}

func (t *bird) steps() []step {
	return []step{
		{"start, trust the demo's authority, know the passwords", t.login},
		{"sync 40 messages of INBOX", func(context.Context) error { return t.do("open", "Inbox", 40) }},
		{"list the folders, one named beyond ASCII", func(context.Context) error {
			return t.do("folders", "Inbox", "Projets", "Été", "Sent", "Trash")
		}},
		{"read a message: the server has it \\Seen", func(ctx context.Context) error {
			if err := t.do("read", "Letter 40", "This is letter number 40."); err != nil {
				return err
			}
			return t.demo.waitFor(ctx, bob, "INBOX", "Letter 40", seen)
		}},
		{"read HTML with an attachment", func(ctx context.Context) error {
			if err := t.do("read", "Grüße aus Zürich", "picture of the Jura for you: ☃"); err != nil {
				return err
			}
			names, err := t.m.do(thunderbirdJS, "attachments")
			if err == nil && names != "dot.png" {
				err = fmt.Errorf("attachments are %q", names)
			}
			return err
		}},
		{"star a message: the server has it \\Flagged", func(ctx context.Context) error {
			if err := t.do("command", "Letter 39", "cmd_markAsFlagged"); err != nil {
				return err
			}
			return t.demo.waitFor(ctx, bob, "INBOX", "Letter 39", flagged)
		}},
		{"move a message to Projets/Été", func(ctx context.Context) error {
			if err := t.do("move", "Letter 38", "Été"); err != nil {
				return err
			}
			if err := t.demo.waitFor(ctx, bob, "Projets/Été", "Letter 38", anything); err != nil {
				return err
			}
			return t.demo.waitGone(ctx, bob, "INBOX", "Letter 38")
		}},
		{"delete a message: it is in Trash", func(ctx context.Context) error {
			if err := t.do("command", "Letter 37", "cmd_delete"); err != nil {
				return err
			}
			if err := t.demo.waitFor(ctx, bob, "Trash", "Letter 37", anything); err != nil {
				return err
			}
			return t.demo.waitGone(ctx, bob, "INBOX", "Letter 37")
		}},
		{"mail that arrives shows by itself", func(ctx context.Context) error {
			if err := t.demo.send(ctx, "Just arrived"); err != nil {
				return err
			}
			return t.do("arrived", "Just arrived")
		}},
		{"what another client changes shows by itself", func(ctx context.Context) error {
			if err := t.elsewhere(); err != nil {
				return err
			}
			if err := t.do("flagged", "Letter 36"); err != nil {
				return err
			}
			return t.do("gone", "Letter 35")
		}},
		{"search the text on the server", func(context.Context) error {
			hits, err := t.m.do(thunderbirdJS, "search", "Inbox", "the soil is frozen")
			if err == nil && hits != "Plans for the garden" && hits != "Re: Plans for the garden" {
				err = fmt.Errorf("found %q", hits)
			}
			return err
		}},
		{"write an answer", func(context.Context) error {
			return t.do("reply", "Letter 34", "An answer of Thunderbird: Grüße ☃.")
		}},
		{"send it: it leaves the domain, \\Answered, a copy in Sent", t.answered},
		{"write and send a new message to alice", func(ctx context.Context) error {
			if err := t.do("compose", alice, "Thunderbird greets alice", "Line one\n.\n.. dots"); err != nil {
				return err
			}
			if err := t.do("send"); err != nil {
				return err
			}
			return t.demo.waitFor(ctx, alice, "INBOX", "Thunderbird greets alice", saying("\r\n.\r\n.. dots"))
		}},
		{"open the folder that the message was moved to", func(context.Context) error {
			if err := t.do("open", "Été", 1); err != nil {
				return err
			}
			return t.do("read", "Letter 38", "This is letter number 38.")
		}},
	}
}

func (t *bird) login(context.Context) error {
	text, err := os.ReadFile(t.demo.ca)
	if err != nil {
		return err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return fmt.Errorf("%s holds no certificate", t.demo.ca)
	}
	version, err := t.m.do(thunderbirdJS, "login", base64.StdEncoding.EncodeToString(block.Bytes), bob, password)
	fmt.Println("     Thunderbird", version)
	return err
}

func (t *bird) answered(ctx context.Context) error {
	if err := t.do("send"); err != nil {
		return err
	}
	if err := t.demo.waitFor(ctx, alice, "Sink", "Re: Letter 34", saying("An answer of Thunderbird: Grüße ☃.")); err != nil {
		return err
	}
	if err := t.demo.waitFor(ctx, bob, "Sent", "Re: Letter 34", saying("> This is letter number 34.")); err != nil {
		return err
	}
	return t.demo.waitFor(ctx, bob, "INBOX", "Letter 34", func(m message) bool { return slices.Contains(m.flags, imap.FlagAnswered) })
}

// elsewhere stars one message and removes another, as bob's other client.
func (t *bird) elsewhere() error {
	c, err := t.demo.imap(bob)
	if err != nil {
		return err
	}
	defer c.Close()
	if _, err := c.Select("INBOX", nil).Wait(); err != nil {
		return err
	}
	for subject, flag := range map[string]imap.Flag{"Letter 36": imap.FlagFlagged, "Letter 35": imap.FlagDeleted} {
		found, err := c.UIDSearch(&imap.SearchCriteria{Header: []imap.SearchCriteriaHeaderField{{Key: "Subject", Value: subject}}}, nil).Wait()
		if err != nil {
			return err
		}
		if err := c.Store(imap.UIDSetNum(found.AllUIDs()...), &imap.StoreFlags{Op: imap.StoreFlagsAdd, Flags: []imap.Flag{flag}}, nil).Close(); err != nil {
			return err
		}
	}
	return c.Expunge().Close()
}

func flagged(m message) bool { return slices.Contains(m.flags, imap.FlagFlagged) }
