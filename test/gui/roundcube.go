package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/emersion/go-imap/v2"
)

// startRoundcube serves Debian's Roundcube by PHP's own web server, and starts the browser's driver.
const startRoundcube = `cd "$HOME"
mkdir logs temp browser
cp config.inc.php /etc/roundcube/config.inc.php
php -r '$db = new PDO("sqlite:roundcube.db"); $db->exec(file_get_contents("/usr/share/roundcube/SQL/sqlite.initial.sql"));'
php -S 127.0.0.1:$WEB -t /var/lib/roundcube/public_html >web.log 2>&1 &
exec chromedriver --port=$DRIVER`

// roundcubeConfig: the authority is believed, connections are encrypted, threads are shown, and
// message caches are on, so that CONDSTORE and QRESYNC are used.
const roundcubeConfig = `<?php
$config = [];
$config['db_dsnw'] = 'sqlite:///{dir}/roundcube.db?mode=0600';
$config['imap_host'] = 'ssl://localhost:{imaps}';
$config['smtp_host'] = 'tls://localhost:{submission}';
$config['smtp_user'] = '%u';
$config['smtp_pass'] = '%p';
$config['imap_conn_options'] = $config['smtp_conn_options'] = [
    'ssl' => ['verify_peer' => true, 'verify_peer_name' => true, 'cafile' => '{dir}/ca.pem'],
];
$config['imap_debug'] = true;
$config['smtp_debug'] = true;
$config['log_dir'] = '{dir}/logs/';
$config['temp_dir'] = '{dir}/temp/';
$config['des_key'] = 'twenty-four octets here.';
$config['default_list_mode'] = 'threads';
$config['imap_cache'] = 'db';
$config['messages_cache'] = true;
$config['language'] = 'en_US';
$config['skin'] = 'elastic';
$config['plugins'] = [];
`

func roundcube(ctx context.Context, s *stage) error {
	web, err := freePort()
	if err != nil {
		return err
	}
	driver, err := freePort()
	if err != nil {
		return err
	}
	ca, err := os.ReadFile(s.demo.ca)
	if err != nil {
		return err
	}
	if err := os.WriteFile(s.path("shared", "ca.pem"), ca, 0o644); err != nil {
		return err
	}
	config := strings.NewReplacer("{dir}", s.path("shared"), "{imaps}", fmt.Sprint(s.demo.port(2993)), "{submission}", fmt.Sprint(s.demo.port(2587))).Replace(roundcubeConfig)
	if err := os.WriteFile(s.path("shared", "config.inc.php"), []byte(config), 0o644); err != nil {
		return err
	}
	stop, err := s.session(ctx, []string{"roundcube-core", "roundcube-sqlite3", "php-cli", "chromium", "chromium-driver", "fonts-dejavu-core"},
		[]string{fmt.Sprintf("WEB=%d", web), fmt.Sprintf("DRIVER=%d", driver), "PHP_CLI_SERVER_WORKERS=3"}, "sh", "-c", startRoundcube)
	if err != nil {
		return err
	}
	defer stop()
	b, err := openBrowser(ctx, driver, s.path("shared", "browser"))
	if err != nil {
		return err
	}
	c := &cube{stage: s, browser: b, url: fmt.Sprintf("http://127.0.0.1:%d/", web)}
	err = play(ctx, c.steps(), func(name string) error { return b.savePNG(ctx, s.path(name+".png")) })
	if err != nil {
		return err
	}
	return s.noComplaints(s.path("shared", "logs", "imap.log"))
}

// cube is Roundcube as bob has it.
type cube struct {
	*stage
	*browser
	url string
}

func (c *cube) steps() []step {
	return []step{
		{"log in", c.login},
		{"list by threads, the mailboxes beside", c.threads},
		{"read a message: the server has it \\Seen", func(ctx context.Context) error {
			if err := c.read(ctx, "Letter 40", "This is letter number 40."); err != nil {
				return err
			}
			return c.demo.waitFor(ctx, bob, "INBOX", "Letter 40", seen)
		}},
		{"read HTML with an attachment", func(ctx context.Context) error {
			if err := c.read(ctx, "Grüße aus Zürich", "picture of the Jura for you: ☃"); err != nil {
				return err
			}
			return c.until(ctx, "document.querySelector('#messagecontframe').contentDocument.querySelector('#attachment-list').textContent.includes('dot.png')")
		}},
		{"search subjects", func(ctx context.Context) error { return c.search(ctx, "subject", "Letter 17", "Letter 17") }},
		{"search entire messages", func(ctx context.Context) error {
			return c.search(ctx, "text", "soil is frozen", "Re: Plans for the garden")
		}},
		{"end the search", func(ctx context.Context) error {
			if err := c.run(ctx, "rcmail.command('reset-search')"); err != nil {
				return err
			}
			return c.until(ctx, row+" && !rcmail.env.search_request", "Letter 39")
		}},
		{"star a message: the server has it \\Flagged", func(ctx context.Context) error {
			if err := c.command(ctx, "Letter 39", "mark", "flagged"); err != nil {
				return err
			}
			return c.demo.waitFor(ctx, bob, "INBOX", "Letter 39", flagged)
		}},
		{"move a message to Projets/Été", func(ctx context.Context) error {
			if err := c.command(ctx, "Letter 38", "move", "Projets/Été"); err != nil {
				return err
			}
			if err := c.demo.waitFor(ctx, bob, "Projets/Été", "Letter 38", anything); err != nil {
				return err
			}
			return c.demo.waitGone(ctx, bob, "INBOX", "Letter 38")
		}},
		{"delete a message: it is in Trash", func(ctx context.Context) error {
			if err := c.command(ctx, "Letter 37", "delete", ""); err != nil {
				return err
			}
			return c.demo.waitFor(ctx, bob, "Trash", "Letter 37", anything)
		}},
		{"look for new mail", func(ctx context.Context) error {
			if err := c.demo.send(ctx, "Just arrived"); err != nil {
				return err
			}
			if err := c.demo.waitFor(ctx, bob, "INBOX", "Just arrived", anything); err != nil {
				return err
			}
			if err := c.run(ctx, "rcmail.command('checkmail')"); err != nil {
				return err
			}
			return c.until(ctx, row, "Just arrived")
		}},
		{"write a message to alice", func(ctx context.Context) error {
			if err := c.open(ctx, c.url+"?_task=mail&_action=compose&_to="+alice); err != nil {
				return err
			}
			if err := c.typeInto(ctx, "#compose-subject", "Roundcube greets alice: Grüße"); err != nil {
				return err
			}
			return c.typeInto(ctx, "#composebody", "Line one ☃\n.\n.. dots")
		}},
		{"send it: it arrives, a copy in Sent", func(ctx context.Context) error {
			if err := c.click(ctx, "button.send"); err != nil {
				return err
			}
			if err := c.demo.waitFor(ctx, alice, "INBOX", "Roundcube greets alice", saying("\r\n.\r\n.. dots")); err != nil {
				return err
			}
			if err := c.demo.waitFor(ctx, bob, "Sent", "Roundcube greets alice", seen); err != nil {
				return err
			}
			return c.until(ctx, row, "Letter 36")
		}},
		{"answer a letter: it leaves the domain, \\Answered", c.answer},
		{"open the mailbox that the message was moved to", func(ctx context.Context) error {
			if err := c.run(ctx, "rcmail.command('list', 'Projets/Été')"); err != nil {
				return err
			}
			return c.until(ctx, row+" && document.querySelectorAll('#messagelist tbody tr').length == 1", "Letter 38")
		}},
		{"log out", func(ctx context.Context) error {
			if err := c.run(ctx, "rcmail.command('logout')"); err != nil {
				return err
			}
			return c.until(ctx, "document.querySelector('#rcmloginuser')")
		}},
	}
}

// row is an expression for the row of the message whose subject is the script's first argument.
const row = "[...document.querySelectorAll('#messagelist tbody tr')].find(tr => tr.querySelector('.subject a')?.textContent.trim() == arguments[0])"

func (c *cube) login(ctx context.Context) error {
	if err := c.open(ctx, c.url); err != nil {
		return err
	}
	if err := c.typeInto(ctx, "#rcmloginuser", bob); err != nil {
		return err
	}
	if err := c.typeInto(ctx, "#rcmloginpwd", password); err != nil {
		return err
	}
	if err := c.click(ctx, "#rcmloginsubmit"); err != nil {
		return err
	}
	return c.until(ctx, "document.querySelector('#messagelist tbody tr')")
}

// threads opens the conversation in the list, and sees that the server was asked for it.
func (c *cube) threads(ctx context.Context) error {
	if err := c.until(ctx, "rcmail.env.threading && rcmail.env.messagecount == 38", nil); err != nil { // 40 messages, 3 of them in one
		return err
	}
	if err := c.until(ctx, "document.querySelector('#mailboxlist').textContent.includes('Été')"); err != nil {
		return err
	}
	if err := c.run(ctx, "rcmail.command('expand-all')"); err != nil {
		return err
	}
	if err := c.until(ctx, row+"?.offsetParent", "Re: Plans for the garden"); err != nil {
		return err
	}
	if err := c.run(ctx, row+".scrollIntoView()", "Re: Plans for the garden"); err != nil {
		return err
	}
	log, err := os.ReadFile(c.path("shared", "logs", "imap.log"))
	if err == nil && !strings.Contains(string(log), "THREAD REFERENCES") {
		err = fmt.Errorf("the server was not asked for THREAD")
	}
	return err
}

// choose selects a message in the list with the mouse.
func (c *cube) choose(ctx context.Context, subject string) error {
	if err := c.until(ctx, row, subject); err != nil {
		return err
	}
	return c.run(ctx, `const tr = `+row+`;
		tr.scrollIntoView();
		for (const type of ['mousedown', 'mouseup', 'click']) tr.querySelector('.subject .subject').dispatchEvent(new MouseEvent(type, {bubbles: true, button: 0}));`, subject)
}

// read opens a message in the pane beside the list.
func (c *cube) read(ctx context.Context, subject, text string) error {
	if err := c.choose(ctx, subject); err != nil {
		return err
	}
	return c.until(ctx, "document.querySelector('#messagecontframe').contentDocument?.querySelector('#messagebody')?.textContent.includes(arguments[0])", text)
}

// command does to a message what a button or menu does.
func (c *cube) command(ctx context.Context, subject, name, argument string) error {
	if err := c.choose(ctx, subject); err != nil {
		return err
	}
	return c.run(ctx, "rcmail.command(arguments[0], arguments[1])", name, argument)
}

// search looks in one part of the messages (one of the search's options), and must find one message.
func (c *cube) search(ctx context.Context, part, text, subject string) error {
	err := c.run(ctx, `rcmail.env.search_mods = {'*': {[arguments[0]]: 1}};
		document.querySelector('#mailsearchform').value = arguments[1];
		rcmail.command('search');`, part, text)
	if err != nil {
		return err
	}
	return c.until(ctx, row+" && rcmail.env.search_request && document.querySelectorAll('#messagelist tbody tr').length == 1", subject)
}

func (c *cube) answer(ctx context.Context) error {
	// Read first: what Roundcube knows of an answer is lost when the message is still being opened.
	if err := c.read(ctx, "Letter 34", "This is letter number 34."); err != nil {
		return err
	}
	if err := c.run(ctx, "rcmail.command('reply')"); err != nil {
		return err
	}
	if err := c.typeInto(ctx, "#composebody", "An answer of Roundcube: Grüße ☃."); err != nil {
		return err
	}
	if err := c.click(ctx, "button.send"); err != nil {
		return err
	}
	if err := c.demo.waitFor(ctx, alice, "Sink", "Re: Letter 34", saying("In-Reply-To: <gui34@elsewhere.test>")); err != nil {
		return err
	}
	err := c.demo.waitFor(ctx, bob, "INBOX", "Letter 34", func(m message) bool { return slices.Contains(m.flags, imap.FlagAnswered) })
	if err != nil {
		return err
	}
	return c.until(ctx, row, "Letter 36")
}
