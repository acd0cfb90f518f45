package queue

import (
	"fmt"
	"strings"
	"time"
)

// text is what a person reads: what happened to which address, why, in the words of
// the other server, and what can be done about it.
func (r *report) text() string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\r\n", args...) }
	line("This is the mail server %s.", r.hostname)
	for _, section := range []struct {
		action Action
		intro  string
	}{
		{ActionFailed, "Your message could not be delivered to:"},
		{ActionDelayed, "Your message has not been delivered yet to:"},
		{ActionRelayed, "Your message has been passed on to a server that does not report deliveries, for:"},
		{ActionExpanded, "Your message has been sent on to several others, for:"},
		{ActionDelivered, "Your message has been delivered to:"},
	} {
		if !r.has(section.action) {
			continue
		}
		line("")
		line("%s", section.intro)
		for _, f := range r.fates {
			if f.Action == section.action {
				r.recipientText(line, f)
			}
		}
	}
	line("")
	if r.has(ActionDelayed) {
		line("You need not do anything: the server keeps trying until %s,", r.giveUp.Format("Monday, 2 January 2006 15:04 -0700"))
		line("and will tell you if it has to give up.")
		line("")
	}
	line("Your message arrived here on %s.", r.original.Arrived.Format("Monday, 2 January 2006 15:04:05 -0700"))
	if r.lost {
		line("The technical details follow. Of your message itself nothing can be returned.")
	} else {
		line("The technical details follow, then your message or its header.")
	}
	if help := r.postmaster.String(); help != "" {
		line("If you need help, write to %s.", help)
	}
	return b.String()
}

func (r *report) recipientText(line func(string, ...any), f Fate) {
	line("")
	line("  <%s>", headerAddress(f.recipient.Address, true))
	if f.Action.good() {
		return
	}
	if f.given {
		line("    The server has tried for %s, without success.", days(r.now.Sub(since(r.original))))
	}
	for _, words := range wrap(advice(f.status(), f), 70) {
		line("    %s", words)
	}
	if f.Reply == "" {
		return
	}
	who := "This server says"
	if f.quoted() {
		who = "The server " + f.Remote + " said"
	}
	line("    %s:", who)
	for _, words := range wrap(r.plain(f.Reply), 68) {
		line("      %s", words)
	}
}

// advice is the sentence for a status code (RFC 3463, IANA's registry): what is the
// matter, and what the sender can do.
func advice(status string, f Fate) string {
	class, rest, _ := strings.Cut(status, ".")
	known := map[string]string{
		"1.1":  "The address does not exist there. Check its spelling, or ask the recipient for the right one another way.",
		"1.2":  "The domain after the @ does not exist or takes no mail. Check its spelling.",
		"1.3":  "The other server does not understand this address. Check its spelling.",
		"1.6":  "The recipient has moved and left no new address. Ask another way.",
		"1.10": "The domain has declared that it takes no mail at all. The recipient must have another address.",
		"2.1":  "The mailbox is closed at present. Ask the recipient another way.",
		"2.2":  "The recipient's mailbox is full. Try again when it has been emptied.",
		"2.3":  "The message is larger than the recipient may receive. Send it without large attachments, or share a link to them.",
		"3.4":  "The message is larger than the other server takes. Send it without large attachments, or share a link to them.",
		"4.1":  "The other server does not answer. It may be down or unreachable for a while.",
		"4.2":  "The connection with the other server broke.",
		"4.3":  "The domain's entries in DNS could not be asked for.",
		"4.4":  "The domain has no mail server that can be found. Check its spelling, or ask the recipient another way.",
		"4.6":  "The mail would have gone round in a circle. The domain's owner has to repair its settings.",
		"4.7":  "No more tries are made. Try again later, or ask the recipient another way.",
		"6.3":  "The message can't be brought into a form that the other server takes. Send it as plain text, without attachments.",
		"6.7":  "The other server does not take international addresses. Use an address of the plain form, if the recipient has one.",
		"7.1":  "The other server refuses the message by its own rules. Its answer below may say why; if not, ask its owner.",
		"7.5":  "No connection as safe as the domain demands could be made. Its owner has to repair its settings.",
		"7.10": "The message may go over an encrypted connection only, and none could be made. If you demanded that yourself (REQUIRETLS), send it without.",
		"7.30": "You demanded encryption on the whole way (REQUIRETLS), which the other side does not offer. Send without that demand if you can.",
	}
	if s := known[rest]; s != "" && (class == "5" || !strings.HasPrefix(rest, "7.")) {
		return s
	}
	switch {
	case class == "4":
		return "The other server does not take the message yet. Some make unknown senders wait."
	case strings.HasPrefix(rest, "7."):
		return known["7.1"]
	case f.quoted():
		return "The other server refuses the message for good. Its answer:"
	case rest == "3.0":
		return "The message was lost before it could be sent, which should never happen. Send it again, and tell the owner of this server."
	}
	return "The message can't be delivered."
}

// days says a duration as a person does.
func days(d time.Duration) string {
	switch n := int(d.Round(time.Hour).Hours()); {
	case n >= 48:
		return fmt.Sprintf("%d days", (n+12)/24)
	case n == 1:
		return "one hour"
	default:
		return fmt.Sprintf("%d hours", n)
	}
}

// wrap breaks text into lines of about width octets at its spaces.
func wrap(text string, width int) []string {
	var lines []string
	current := ""
	for word := range strings.FieldsSeq(text) {
		if current != "" && len(current)+1+len(word) > width {
			lines = append(lines, current)
			current = ""
		}
		if current != "" {
			current += " "
		}
		current += word
	}
	return append(lines, current)
}
