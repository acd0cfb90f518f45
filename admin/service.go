package admin

import (
	"context"
	"io"
	"time"

	"facteur/mta/queue"
)

// Service is everything that can be asked of a server or of its data folder. Errors
// wrap ErrNotFound, ErrExists or ErrInvalid where the caller may care.
type Service interface {
	Accounts(context.Context, None) ([]Account, error)
	Account(context.Context, Name) (Account, error)
	AddAccount(context.Context, NewAccount) (Secret, error)
	SetPassword(context.Context, NewAccount) (Secret, error)
	DisableAccount(context.Context, Switch) (None, error)
	RemoveAccount(context.Context, Name) (None, error)
	SetQuota(context.Context, Quota) (None, error)
	SetCapabilities(context.Context, Capabilities) (None, error)

	AppPasswords(context.Context, Name) ([]AppPassword, error)
	AddAppPassword(context.Context, AppPassword) (Secret, error)
	RevokeAppPassword(context.Context, AppPassword) (None, error)

	Domains(context.Context, None) ([]Domain, error)
	AddDomain(context.Context, Domain) (None, error)
	DisableDomain(context.Context, Switch) (None, error)
	SetCatchAll(context.Context, CatchAll) (None, error)
	RemoveDomain(context.Context, Name) (None, error)
	DomainRecords(context.Context, Name) ([]Record, error)

	Aliases(context.Context, None) ([]Alias, error)
	AddAlias(context.Context, Alias) (None, error)
	RemoveAlias(context.Context, Name) (None, error)

	Keys(context.Context, Name) ([]Key, error)
	AddKey(context.Context, NewKey) ([]Key, error)
	RotateKeys(context.Context, Name) ([]Key, error)
	RemoveKey(context.Context, Key) (None, error)
	SignSample(context.Context, Name) (Sample, error)

	QueueList(context.Context, QueueFilter) ([]QueueItem, error)
	QueueDestinations(context.Context, None) ([]Destination, error)
	QueueShow(context.Context, Name) (QueueMessage, error)
	QueueChange(context.Context, QueueOrder) (Count, error)

	Mailboxes(context.Context, Name) ([]Mailbox, error)
	CreateMailbox(context.Context, NewMailbox) (None, error)
	Held(context.Context, HeldQuery) ([]Held, error)
	Append(context.Context, NewMessage) (None, error)
	Rebuild(context.Context, Name) (None, error)
	Verify(context.Context, Name) ([]Problem, error)

	Backup(context.Context, None) (Copy, error)
	Certificates(context.Context, None) ([]Certificate, error)
	Peers(context.Context, None) ([]Peer, error)
	Explain(context.Context, Name) ([]Event, error)
	Status(context.Context, None) (Status, error)
}

// None is an empty question or answer.
type None struct{}

// Name asks for one thing by its name; empty asks for all where that makes sense.
type Name struct{ Name string }

// Count says how many things were changed.
type Count struct{ Changed int }

// Account is one account with what its mail takes up.
type Account struct {
	Name          string    `json:"name"`
	Disabled      bool      `json:"disabled"`
	Created       time.Time `json:"created"`
	Bytes         int64     `json:"bytes"`
	Messages      int64     `json:"messages"`
	QuotaBytes    int64     `json:"quota_bytes"`
	QuotaMessages int64     `json:"quota_messages"`
	SendPerDay    int       `json:"send_per_day"`
	NoCaps        []string  `json:"capabilities_off,omitempty"`
	Path          string    `json:"path"`
}

// NewAccount names an account and its password; an empty one is generated.
type NewAccount struct {
	Name     string `json:"name"`
	Password string `json:"password"`
}

// Secret is shown once. It is empty when the caller chose it.
type Secret struct {
	Name     string `json:"name"`
	Password string `json:"password,omitempty"`
}

// Switch turns an account or a domain off or on.
type Switch struct {
	Name string `json:"name"`
	Off  bool   `json:"off"`
}

// Quota limits an account; zero means none, a negative number leaves it as it is.
type Quota struct {
	Name     string `json:"name"`
	Bytes    int64  `json:"bytes"`
	Messages int64  `json:"messages"`
	// What the account may send in a day; 0: as configured for all.
	SendPerDay int64 `json:"send_per_day"`
}

// Capabilities switches IMAP capabilities off and on for an account: a broken client may work without one. A session
// follows at its next login.
type Capabilities struct {
	Name string   `json:"name"`
	Off  []string `json:"off,omitempty"`
	On   []string `json:"on,omitempty"`
}

// AppPassword is a generated secret for one device.
type AppPassword struct {
	Account  string    `json:"account"`
	Name     string    `json:"name"`
	Services []string  `json:"services,omitempty"`
	Created  time.Time `json:"created,omitzero"`
	Expires  time.Time `json:"expires,omitzero"`
	LastUsed time.Time `json:"last_used,omitzero"`
	LastFrom string    `json:"last_from,omitempty"`
}

// Domain is a hosted domain.
type Domain struct {
	Name     string    `json:"name"`
	Disabled bool      `json:"disabled"`
	CatchAll string    `json:"catch_all,omitempty"`
	Created  time.Time `json:"created,omitzero"`
}

// CatchAll says where a domain's mail for unknown users goes; with an empty address it is refused.
type CatchAll struct {
	Domain  string `json:"domain"`
	Address string `json:"address"`
}

// Record is one DNS record to publish, as a zone file has it.
type Record struct {
	Name string `json:"name"` // absolute, with its final dot
	Type string `json:"type"`
	Data string `json:"data"` // empty: only the owner knows it, and Why says what it is
	Why  string `json:"why"`
}

// Alias sends mail for one address on to others.
type Alias struct {
	Address string   `json:"address"`
	Targets []string `json:"targets"`
}

// Key is one DKIM key of a domain.
type Key struct {
	Domain    string    `json:"domain"`
	Selector  string    `json:"selector"`
	Algorithm string    `json:"algorithm"`
	State     string    `json:"state"` // "waiting" for its record in DNS, "active", "retired"
	Since     time.Time `json:"since,omitzero"`
	Record    string    `json:"record,omitempty"`
}

// Sample is a small message from a domain of ours, signed by each of its active keys, for others to check.
type Sample struct {
	Message []byte `json:"message"` // empty: no key signs
}

// NewKey asks for a key; an empty algorithm makes RSA-2048 and Ed25519, an empty selector
// one from today's date.
type NewKey struct {
	Domain    string `json:"domain"`
	Selector  string `json:"selector"`
	Algorithm string `json:"algorithm"`
}

// QueueFilter picks messages of the queue; empty fields pick all.
type QueueFilter struct {
	ID        string
	Sender    string // address
	Recipient string // part of an address
	Dest      string // domain or smarthost
	Limit     int    // of QueueList
}

// QueueItem is a message, and the recipients of it that one destination still has to take.
type QueueItem struct {
	ID         string    `json:"id"`
	From       string    `json:"from"`
	Recipients []string  `json:"to"`
	Dest       string    `json:"dest"`
	Size       int64     `json:"size"`
	Arrived    time.Time `json:"arrived"`
	Held       bool      `json:"held"`
	Attempts   int       `json:"attempts"`
	Next       time.Time `json:"next,omitzero"`
	Last       string    `json:"last,omitempty"` // what the last try heard
}

// QueueMessage is all that the queue knows of one message.
type QueueMessage struct {
	ID      string        `json:"id"`
	From    string        `json:"from"`
	Size    int64         `json:"size"`
	Arrived time.Time     `json:"arrived"`
	Done    time.Time     `json:"done,omitzero"`
	Open    []QueueItem   `json:"open"`
	Events  []queue.Event `json:"events"`
}

// QueueOrder changes messages of the queue: "retry", "hold", "release" or "drop".
type QueueOrder struct {
	Do     string
	IDs    []string // each of these; empty: those of the filter
	Filter QueueFilter
}

// Mailbox is one mailbox of an account.
type Mailbox struct {
	Name        string `json:"name"`
	Messages    uint32 `json:"messages"`
	Unseen      uint32 `json:"unseen"`
	Bytes       int64  `json:"bytes"`
	UIDValidity uint32 `json:"uidvalidity"`
	UIDNext     uint32 `json:"uidnext"`
	SpecialUse  string `json:"special_use,omitempty"`
	Subscribed  bool   `json:"subscribed"`
}

// NewMailbox is made with its missing parents, and subscribed.
type NewMailbox struct {
	Account string `json:"account"`
	Name    string `json:"name"` // UTF-8, "/" between levels
}

// HeldQuery asks for the messages of a mailbox with a UID above After, as many as go into one answer: ask again
// after the last, until there are none.
type HeldQuery struct {
	Account string `json:"account"`
	Mailbox string `json:"mailbox"`
	After   uint32 `json:"after"`
}

// Held is a message in a mailbox, as far as it takes to know it again.
type Held struct {
	UID       uint32    `json:"uid"`
	MessageID string    `json:"message_id,omitempty"` // as the header has it
	Internal  time.Time `json:"internal"`
	Size      int64     `json:"size"`
}

// NewMessage is put into a mailbox that is there. The account's quota and the server's limit of a message's size hold.
type NewMessage struct {
	Account  string    `json:"account"`
	Mailbox  string    `json:"mailbox"`
	Flags    []string  `json:"flags"` // as IMAP writes them; those that can't be kept are left out
	Internal time.Time `json:"internal"`
	Size     int64     `json:"size"`
	Body     io.Reader `json:"-"` // Size octets. It is read only until Append returns, but perhaps not to its end
}

// Problem is one thing that Verify found.
type Problem struct {
	Account string `json:"account,omitempty"`
	Mailbox string `json:"mailbox,omitempty"`
	UID     uint32 `json:"uid,omitempty"`
	Path    string `json:"path,omitempty"`
	Message string `json:"message,omitempty"` // of the queue
	What    string `json:"what"`
}

// Copy is a file that was written.
type Copy struct {
	Path string `json:"path"`
}

// Certificate is one that the server shows.
type Certificate struct {
	Hosts     []string `json:"hosts"`
	Issuer    string   `json:"issuer"`
	NotBefore string   `json:"not_before"`
	NotAfter  string   `json:"not_after"`
	Source    string   `json:"source"`
	Problem   string   `json:"problem,omitempty"`
}

// Peer is another server, and what TLS with it came to the last time.
type Peer struct {
	Host   string    `json:"host"`
	At     time.Time `json:"at"`
	TLS    string    `json:"tls,omitempty"`    // version, cipher, and whether the certificate was verified; empty: in the clear
	Policy string    `json:"policy,omitempty"` // who demanded TLS
	Fault  string    `json:"fault,omitempty"`
}

// Destination is where mail goes, and how the running queue treats it.
type Destination struct {
	Dest   string    `json:"dest"`
	Active int       `json:"active"`         // deliveries under way
	Limit  int       `json:"limit"`          // deliveries at a time
	Until  time.Time `json:"until,omitzero"` // it is left alone until then
	Down   string    `json:"down,omitempty"` // why nobody there can be reached
}

// Status is who answers.
type Status struct {
	Version  string    `json:"version"`
	PID      int       `json:"pid"`
	Started  time.Time `json:"started,omitzero"`
	Hostname string    `json:"hostname"`
	Data     string    `json:"data"`
	Running  bool      `json:"running"` // false: the data folder was read directly
}
