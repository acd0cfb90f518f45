package storage

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"time"

	"facteur/storage/maildir"
)

// cleanName is maildir.CleanName with this package's errors.
func cleanName(name string) (string, error) {
	clean, err := maildir.CleanName(name)
	if err == nil {
		_, err = maildir.EncodeName(clean)
	}
	if errors.Is(err, maildir.ErrTooLong) {
		return "", fmt.Errorf("mailbox %.80q: %w: %w", name, err, ErrLimit)
	}
	if err != nil {
		return "", fmt.Errorf("mailbox %.80q: %w", name, ErrName)
	}
	return clean, nil
}

// folderOf is the folder of a name that cleanName returned.
func folderOf(name string) string {
	folder, _ := maildir.EncodeName(name)
	return folder
}

func (a *Account) readAccountInfo() error {
	info, err := maildir.ReadInfo(a.fs, accountFile)
	if errors.Is(err, maildir.ErrInfo) {
		a.s.cfg.Log.Warn("account's text file is damaged, made anew", "account", a.name, "error", err)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, maildir.ErrInfo) {
		return err
	}
	if err != nil {
		info = &maildir.Info{}
	}
	a.info = info
	return nil
}

func (a *Account) writeAccountInfo() error {
	if err := maildir.WriteInfo(a.fs, accountFile, a.info); err != nil {
		return fmt.Errorf("write text file of account %s: %w", a.name, diskError(err))
	}
	return nil
}

// readTree makes the list of mailboxes agree with the folders: new ones get a text
// file, those that are gone are marked so. treeMu is held, or nobody else is there yet.
func (a *Account) readTree() error {
	st, err := a.fs.Stat(".")
	if err != nil {
		return err
	}
	names, err := a.fs.ReadDir(".")
	if err != nil {
		return err
	}
	slices.Sort(names)              // the same order every time
	lost := maps.Clone(a.mailboxes) // whose folders are gone, or others' by now
	var fresh []place
	passed := false
	for _, folder := range append([]string{""}, names...) {
		name, dir, err := a.isFolder(folder, st)
		if err != nil {
			a.passOver(folder, err)
			passed = true
			delete(lost, name) // it isn't gone because nobody can look at it now
		}
		if dir == nil {
			continue
		}
		if m := a.mailboxes[name]; m != nil && m.livesIn(dir) {
			delete(lost, name)
		} else {
			fresh = append(fresh, place{name, folder})
		}
	}
	for name := range lost {
		delete(a.mailboxes, name)
	}
	fresh = slices.DeleteFunc(fresh, func(f place) bool { return a.renamed(f, lost) })
	for _, m := range lost {
		a.dropMailbox(m)
	}
	for _, f := range fresh {
		err := a.addFolder(f.name, f.folder)
		if err != nil && f.folder == "" {
			return fmt.Errorf("folder of %q: %w", f.name, err)
		}
		if err != nil {
			a.passOver(f.folder, err)
			passed = true
		} else {
			delete(a.passed, f.folder)
		}
	}
	a.listed()
	a.rootTime = st.ModTime().UnixNano()
	// A chown of a folder doesn't show in that time, nor what another program does within the same tick: look again.
	if age := time.Since(st.ModTime()); passed || age.Abs() < clockStep {
		a.rootTime = 0
	}
	return nil
}

// passOver: a folder that can't be used, as one that root has made and not given to us, must not close the account to
// all others.
func (a *Account) passOver(folder string, err error) {
	if a.passed[folder] != err.Error() {
		a.passed[folder] = err.Error()
		a.s.cfg.Log.Warn("folder passed over", "account", a.name, "folder", folder, "error", err)
	}
}

// isFolder returns which mailbox's a folder is by its name, and the folder if there can be one in it. An error means that this
// can't be found out now, as when no file descriptor is left.
func (a *Account) isFolder(folder string, root fs.FileInfo) (name string, dir fs.FileInfo, err error) {
	if folder == "" {
		return maildir.Inbox, root, nil
	}
	if name, err = maildir.DecodeName(folder); err != nil {
		return "", nil, nil
	}
	// Two names of one folder would take each other's files for foreign ones, and give them new UIDs without end.
	st, err := a.fs.Lstat(folder)
	if err == nil && st.IsDir() {
		if _, err = a.fs.Stat(maildir.Join(folder, string(maildir.Cur))); err == nil {
			dir = st
		}
	}
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return name, dir, err
}

// livesIn reports whether the folder of m's name is m's, and not another that another program has put there since.
func (m *Mailbox) livesIn(dir fs.FileInfo) bool {
	if was := m.dir.Load(); was != nil && !sameFile(*was, dir) {
		info, err := maildir.ReadInfo(m.a.fs, maildir.Join(m.place.Load().folder, maildir.InfoFile))
		if err == nil && !m.is(info) || errors.Is(err, fs.ErrNotExist) {
			return false
		}
	}
	m.dir.Store(&dir)
	return true
}

// errMoved: another program has renamed the mailbox's folder and put another mailbox's in its place.
var errMoved = errors.New("another program has just renamed its folder, try again")

// stillHere makes sure that the folder of m's name, which is being looked through, is m's: all that is in another mailbox's would be
// taken for foreign and get new UIDs. The list of mailboxes follows by refreshTree, which has to wait for the lock that is held here.
func (m *Mailbox) stillHere() error {
	folder := m.place.Load().folder
	if folder == "" {
		return nil
	}
	dir, err := m.a.fs.Lstat(folder)
	if err == nil && !m.livesIn(dir) {
		err = errMoved
	}
	return err
}

// is reports whether a text file is that of m.
func (m *Mailbox) is(info *maildir.Info) bool {
	return m.validity == info.UIDValidity && m.id == info.ID
}

// renamed sees that a new folder is that of a mailbox whose own is gone: another program has renamed it.
// UIDVALIDITY, UIDs and sessions stay, as in RenameMailbox. treeMu is held.
func (a *Account) renamed(to place, lost map[string]*Mailbox) bool {
	info, err := maildir.ReadInfo(a.fs, maildir.Join(to.folder, maildir.InfoFile))
	if err != nil {
		return false // addFolder looks again, and says what is to be said
	}
	for name, m := range lost {
		if m.is(info) {
			m.mu.Lock()
			defer m.mu.Unlock()
			m.place.Store(&to)
			delete(lost, name)
			a.mailboxes[to.name] = m
			a.generation.Add(1)
			return true
		}
	}
	return false
}

// addFolder takes a folder into the list. One without a text file of its own, or
// with the copy of another's, gets one.
func (a *Account) addFolder(name, folder string) error {
	info, err := maildir.ReadInfo(a.fs, maildir.Join(folder, maildir.InfoFile))
	switch {
	case err == nil && info.UIDValidity != 0 && !a.validityTaken(info.UIDValidity):
	case err == nil || errors.Is(err, fs.ErrNotExist) || errors.Is(err, maildir.ErrInfo):
		if errors.Is(err, maildir.ErrInfo) {
			a.s.cfg.Log.Warn("a mailbox's text file is damaged and made anew: special use and the names of keywords are lost, messages and UIDs are not",
				"account", a.name, "mailbox", name, "error", err)
		}
		info, err = a.newInfo(folder, info)
		if err != nil {
			return err
		}
		if err := maildir.CreateFolder(a.fs, folder, info); err != nil {
			return err
		}
	default:
		return err
	}
	// It may have been away for a moment. Then rows of it wait to be removed, which must not happen once its table has been
	// read from them.
	if err := a.flush(context.Background()); err != nil {
		return err
	}
	m := &Mailbox{a: a, validity: info.UIDValidity, id: info.ID, info: info}
	m.place.Store(&place{name, folder})
	m.listed.Store(&listing{info.Use, info.Subscribed})
	if dir, err := a.fs.Lstat(folder); err == nil { // else livesIn notes the next one that it sees
		m.dir.Store(&dir)
	}
	a.mailboxes[name] = m
	a.generation.Add(1)
	return nil
}

// newInfo works out a text file for a folder that has none. Where its messages name a
// UIDVALIDITY that no other folder has, the text file was lost: it is used on.
func (a *Account) newInfo(folder string, copied *maildir.Info) (*maildir.Info, error) {
	found, err := maildir.List(a.fs, folder)
	if err != nil {
		return nil, err
	}
	info := &maildir.Info{Subscribed: true}
	votes := map[uint32]int{}
	for _, f := range found {
		if n := maildir.ParseFileName(f.Name); n.UID != 0 && !a.validityTaken(n.UIDValidity) {
			votes[n.UIDValidity]++
			if votes[n.UIDValidity] > votes[info.UIDValidity] {
				info.UIDValidity = n.UIDValidity
			}
		}
	}
	if copied != nil { // a folder copied with its text file: the letters mean the same
		info.Keywords = copied.Keywords
	}
	if info.UIDValidity == 0 {
		if info.UIDValidity, err = a.newValidity(); err != nil {
			return nil, err
		}
	} else {
		for _, f := range found {
			if n := maildir.ParseFileName(f.Name); n.UIDValidity == info.UIDValidity {
				info.UIDBound = max(info.UIDBound, n.UID+boundStep)
			}
		}
	}
	info.UIDBound = max(info.UIDBound, 1)
	info.ID = newMailboxID()
	return info, nil
}

func newMailboxID() string { return "M" + maildir.NewUnique() }

func (a *Account) validityTaken(v uint32) bool {
	for _, m := range a.mailboxes {
		if m.validity == v {
			return true
		}
	}
	return false
}

// newValidity hands out a UIDVALIDITY: seconds since 1970, and higher than all this account
// ever had, so that a mailbox made again under an old name differs (RFC 9051 2.3.1.1).
func (a *Account) newValidity() (uint32, error) {
	v := max(uint32(a.s.cfg.Now().Unix()), a.info.UIDValidity+1)
	for _, m := range a.mailboxes {
		v = max(v, m.validity+1)
	}
	a.info.UIDValidity = v
	if err := a.writeAccountInfo(); err != nil {
		return 0, err
	}
	return v, nil
}

// refreshTree sees folders that other programs made or removed.
func (a *Account) refreshTree(ctx context.Context) error {
	st, err := a.fs.Stat(".")
	if err != nil {
		return fmt.Errorf("folder of account %s: %w", a.name, err)
	}
	a.treeMu.RLock()
	same := a.rootTime == st.ModTime().UnixNano()
	a.treeMu.RUnlock()
	if same {
		return nil
	}
	a.treeMu.Lock()
	defer a.treeMu.Unlock()
	before := a.generation.Load()
	if err := a.readTree(); err != nil {
		return err
	}
	for _, m := range a.allMailboxes() {
		if !m.started {
			if err := a.startOne(ctx, m); err != nil {
				return err
			}
		}
	}
	if a.generation.Load() != before {
		a.wake()
	}
	return nil
}

// dropMailbox ends a mailbox that is out of the list, and whose folder is gone. treeMu is held.
func (a *Account) dropMailbox(m *Mailbox) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.gone.Store(true)
	m.count(Usage{})
	a.pend(opDropped{m.validity})
	a.generation.Add(1)
}

// keywordsOf reads the keywords of another mailbox of the account, from its text file: no
// second lock may be waited for here.
func (a *Account) keywordsOf(validity uint32) []string {
	for _, m := range a.allMailboxes() {
		if m.validity == validity {
			info, err := maildir.ReadInfo(a.fs, maildir.Join(m.place.Load().folder, maildir.InfoFile))
			if err == nil {
				return info.Keywords
			}
		}
	}
	return nil
}

// Mailboxes lists all mailboxes, the subscribed names that don't exist among them,
// sorted by name with INBOX first.
func (a *Account) Mailboxes(ctx context.Context) ([]MailboxInfo, error) {
	if err := a.refreshTree(ctx); err != nil {
		return nil, err
	}
	a.treeMu.RLock()
	defer a.treeMu.RUnlock()
	list := map[string]*MailboxInfo{}
	for name, m := range a.mailboxes {
		info := m.listed.Load()
		list[name] = &MailboxInfo{Name: name, Exists: true, Subscribed: info.subscribed, SpecialUse: info.use, ID: m.id}
	}
	for name := range a.mailboxes {
		for parent := parentOf(name); parent != ""; parent = parentOf(parent) {
			if list[parent] == nil {
				list[parent] = &MailboxInfo{Name: parent, NoSelect: true, Exists: true}
			}
			list[parent].HasChild = true
		}
	}
	for _, name := range a.info.Names {
		if list[name] == nil {
			list[name] = &MailboxInfo{Name: name, NoSelect: true}
		}
		list[name].Subscribed = true
	}
	sorted := make([]MailboxInfo, 0, len(list))
	for _, info := range list {
		sorted = append(sorted, *info)
	}
	slices.SortFunc(sorted, func(x, y MailboxInfo) int {
		if (x.Name == maildir.Inbox) != (y.Name == maildir.Inbox) {
			if x.Name == maildir.Inbox {
				return -1
			}
			return 1
		}
		return strings.Compare(x.Name, y.Name)
	})
	return sorted, nil
}

func parentOf(name string) string {
	if i := strings.LastIndexByte(name, '/'); i >= 0 {
		return name[:i]
	}
	return ""
}
