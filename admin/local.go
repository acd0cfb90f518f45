package admin

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"unicode"

	"facteur/auth"
	"facteur/auth/cert"
	"facteur/auth/sender"
	"facteur/mta/dns"
	"facteur/mta/queue"
	"facteur/mta/remote"
	"facteur/storage"
	"facteur/storage/message"
)

// Local is the Service over an open data folder.
type Local struct {
	Directory *auth.Directory
	Store     *storage.Store
	Queue     *queue.Queue
	Sender    *remote.Sender
	Keyring   *sender.Keyring
	Resolver  *dns.Resolver
	Journal   *Journal
	Certs     *cert.Manager // nil: no server runs
	Site      Site
	Info      Status

	MaxMessage int64 // octets that Append takes; 0: no limit

	changing sync.Mutex // from the look at a domain or account until it is written back
}

// Status implements Service.
func (l *Local) Status(context.Context, None) (Status, error) { return l.Info, nil }

// Explain implements Service.
func (l *Local) Explain(ctx context.Context, q Name) ([]Event, error) {
	if strings.Trim(q.Name, "<> ") == "" { // which every line would have
		return nil, fmt.Errorf("%q is %w: it names no message", q.Name, ErrInvalid)
	}
	return l.Journal.Find(ctx, q.Name)
}

// Backup implements Service: server.db is copied into the data folder itself, since a confined server writes nowhere
// else. A copy of a database made while it is written may hold half of a change; all other files may be copied at any time.
func (l *Local) Backup(ctx context.Context, _ None) (Copy, error) {
	path := filepath.Join(l.Info.Data, "backup", "server.db")
	unfinished := path + ".new"
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return Copy{}, err
	}
	if err := os.Remove(unfinished); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return Copy{}, err
	}
	if err := l.Directory.Backup(ctx, unfinished); err != nil {
		return Copy{}, err
	}
	return Copy{path}, os.Rename(unfinished, path)
}

// Certificates implements Service.
func (l *Local) Certificates(context.Context, None) ([]Certificate, error) {
	if l.Certs == nil {
		return nil, fmt.Errorf("certificates: %w: \"systemctl start facteur\" or \"facteur serve\" starts it", ErrStopped)
	}
	var list []Certificate
	for _, i := range l.Certs.Status() {
		list = append(list, Certificate(i))
	}
	return list, nil
}

// Peers implements Service.
func (l *Local) Peers(context.Context, None) ([]Peer, error) {
	var list []Peer
	for _, o := range l.Sender.Outcomes() {
		list = append(list, Peer(o))
	}
	return list, nil
}

// Accounts implements Service.
func (l *Local) Accounts(ctx context.Context, _ None) ([]Account, error) {
	known, err := l.Directory.Accounts(ctx)
	if err != nil {
		return nil, err
	}
	var list []Account
	for _, a := range known {
		account, err := l.describe(ctx, a)
		if err != nil {
			return nil, err
		}
		list = append(list, account)
	}
	return list, nil
}

// Account implements Service.
func (l *Local) Account(ctx context.Context, q Name) (Account, error) {
	a, err := l.account(ctx, q.Name)
	if err != nil {
		return Account{}, err
	}
	return l.describe(ctx, a)
}

// account looks an account up by any spelling of its name.
func (l *Local) account(ctx context.Context, name string) (auth.Account, error) {
	name, err := accountName(name)
	if err != nil {
		return auth.Account{}, err
	}
	return l.Directory.Account(ctx, name)
}

func accountName(name string) (string, error) {
	a, err := message.ParseAddrSpec(name)
	if err != nil {
		return "", fmt.Errorf("%q is %w: %w", name, ErrInvalid, err)
	}
	return a.Key(), nil
}

// describe adds what the store knows of an account.
func (l *Local) describe(ctx context.Context, a auth.Account) (Account, error) {
	out := Account{
		Name: a.Name, Disabled: a.Disabled, Created: a.Created, SendPerDay: a.SendPerDay, NoCaps: a.NoCaps,
		QuotaBytes: a.QuotaBytes, QuotaMessages: a.QuotaMessage,
	}
	path, err := l.Store.Path(a.Name)
	if err != nil {
		return out, err
	}
	out.Path = path
	mail, err := l.Store.Account(ctx, a.Name)
	if errors.Is(err, storage.ErrNoAccount) {
		return out, nil
	}
	if err != nil {
		return out, err
	}
	defer mail.Release()
	usage, err := mail.Usage(ctx)
	out.Bytes, out.Messages = usage.Bytes, usage.Messages
	return out, err
}

// AddAccount implements Service. The mail's folder comes first: a kill in between leaves an empty folder, which the next
// try takes over, and never an account without one.
func (l *Local) AddAccount(ctx context.Context, q NewAccount) (Secret, error) {
	name, err := accountName(q.Name)
	if err != nil {
		return Secret{}, err
	}
	s := chosenOrNew(name, &q.Password)
	err = l.Directory.AddAccountAfter(ctx, name, q.Password, func() error { return l.Store.CreateAccount(ctx, name) })
	if err != nil {
		return Secret{}, unhosted(err)
	}
	return s, nil
}

// SetPassword implements Service.
func (l *Local) SetPassword(ctx context.Context, q NewAccount) (Secret, error) {
	a, err := l.account(ctx, q.Name)
	if err != nil {
		return Secret{}, err
	}
	s := chosenOrNew(a.Name, &q.Password)
	return s, l.Directory.SetPassword(ctx, a.Name, q.Password)
}

// chosenOrNew fills in a password that was not chosen, and says what to show.
func chosenOrNew(name string, password *string) Secret {
	if *password != "" {
		return Secret{Name: name}
	}
	*password = generatePassword()
	return Secret{name, *password}
}

// generatePassword returns 100 random bits as five groups of four letters and digits.
func generatePassword() string {
	var bits [13]byte
	rand.Read(bits[:])
	letters := base32.NewEncoding("abcdefghjkmnpqrstuvwxyz023456789").WithPadding(base32.NoPadding).EncodeToString(bits[:])
	var groups []string
	for i := 0; i < 20; i += 4 {
		groups = append(groups, letters[i:i+4])
	}
	return strings.Join(groups, "-")
}

// DisableAccount implements Service.
func (l *Local) DisableAccount(ctx context.Context, q Switch) (None, error) {
	l.changing.Lock()
	defer l.changing.Unlock()
	a, err := l.account(ctx, q.Name)
	if err != nil {
		return None{}, err
	}
	a.Disabled = q.Off
	return None{}, l.Directory.UpdateAccount(ctx, a)
}

// SetQuota implements Service.
func (l *Local) SetQuota(ctx context.Context, q Quota) (None, error) {
	l.changing.Lock()
	defer l.changing.Unlock()
	a, err := l.account(ctx, q.Name)
	if err != nil {
		return None{}, err
	}
	if q.Bytes >= 0 {
		a.QuotaBytes = q.Bytes
	}
	if q.Messages >= 0 {
		a.QuotaMessage = q.Messages
	}
	if q.SendPerDay >= 0 {
		a.SendPerDay = int(q.SendPerDay)
	}
	return None{}, l.Directory.UpdateAccount(ctx, a)
}

// SetCapabilities implements Service.
func (l *Local) SetCapabilities(ctx context.Context, q Capabilities) (None, error) {
	l.changing.Lock()
	defer l.changing.Unlock()
	a, err := l.account(ctx, q.Name)
	if err != nil {
		return None{}, err
	}
	off := map[string]bool{}
	for _, name := range append(a.NoCaps, q.Off...) {
		if name == "" || strings.ContainsFunc(name, unicode.IsSpace) {
			return None{}, fmt.Errorf("capability %q is %w", name, ErrInvalid)
		}
		off[strings.ToUpper(name)] = true
	}
	for _, name := range q.On {
		delete(off, strings.ToUpper(name))
	}
	a.NoCaps = slices.Sorted(maps.Keys(off))
	return None{}, l.Directory.UpdateAccount(ctx, a)
}

// RemoveAccount implements Service. Nobody can log in or get mail any more before the
// mail is removed.
func (l *Local) RemoveAccount(ctx context.Context, q Name) (None, error) {
	a, err := l.account(ctx, q.Name)
	if err != nil {
		return None{}, err
	}
	if err := l.Directory.RemoveAccount(ctx, a.Name); err != nil {
		return None{}, err
	}
	err = l.Store.RemoveAccount(ctx, a.Name)
	if errors.Is(err, storage.ErrNoAccount) {
		err = nil
	}
	return None{}, err
}

// AppPasswords implements Service.
func (l *Local) AppPasswords(ctx context.Context, q Name) ([]AppPassword, error) {
	a, err := l.account(ctx, q.Name)
	if err != nil {
		return nil, err
	}
	known, err := l.Directory.AppPasswords(ctx, a.Name)
	var list []AppPassword
	for _, p := range known {
		out := AppPassword{Account: p.Account, Name: p.Name, Created: p.Created, Expires: p.Expires, LastUsed: p.LastUsed, LastFrom: p.LastFrom}
		for _, s := range p.Services {
			out.Services = append(out.Services, string(s))
		}
		list = append(list, out)
	}
	return list, err
}

// AddAppPassword implements Service.
func (l *Local) AddAppPassword(ctx context.Context, q AppPassword) (Secret, error) {
	a, err := l.account(ctx, q.Account)
	if err != nil {
		return Secret{}, err
	}
	if strings.ContainsFunc(q.Name, unicode.IsControl) {
		return Secret{}, fmt.Errorf("%w: the name %q has control characters", ErrInvalid, q.Name)
	}
	p := auth.AppPassword{Account: a.Name, Name: q.Name, Expires: q.Expires}
	for _, s := range q.Services {
		p.Services = append(p.Services, auth.Service(s))
	}
	secret, err := l.Directory.AddAppPassword(ctx, p)
	if err != nil {
		return Secret{}, err
	}
	return Secret{a.Name, secret}, nil
}

// RevokeAppPassword implements Service.
func (l *Local) RevokeAppPassword(ctx context.Context, q AppPassword) (None, error) {
	a, err := l.account(ctx, q.Account)
	if err != nil {
		return None{}, err
	}
	return None{}, l.Directory.RevokeAppPassword(ctx, a.Name, q.Name)
}
