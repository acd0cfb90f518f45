package cert

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"
)

// settle is how long files have to be left alone before they are read: a renewal writes
// several, one after the other.
const settle = 500 * time.Millisecond

// readFiles reads all pairs, or fails.
func (m *Manager) readFiles() ([]entry, error) {
	var entries []entry
	for _, p := range m.cfg.Files {
		c, err := tls.LoadX509KeyPair(p.Cert, p.Key)
		if err != nil {
			return nil, fmt.Errorf("certificate %s with key %s: %w", p.Cert, p.Key, err)
		}
		if end := c.Leaf.NotAfter; end.Before(m.cfg.Now()) {
			m.cfg.Log.Warn("the certificate has expired", "file", p.Cert, "since", end)
		}
		entries = append(entries, entry{cert: &c, source: "file", path: p.Cert})
	}
	return entries, nil
}

// Reload reads certificate files anew (SIGHUP). On error what we have is kept, all of it.
func (m *Manager) Reload() error {
	if len(m.cfg.Files) == 0 {
		return nil
	}
	entries, err := m.readFiles()
	if err != nil {
		entries = append(entries, *m.local.Load()...)
		for i := range entries {
			entries[i].err = err
		}
	}
	m.local.Store(&entries)
	return err
}

// watchFiles reloads when a file changes. Whole folders are watched, because certificates are
// replaced by renames and behind symbolic links.
func (m *Manager) watchFiles(ctx context.Context) error {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return fmt.Errorf("watch certificate files: %w", err)
	}
	defer w.Close()
	for _, p := range m.cfg.Files {
		if err := errors.Join(w.Add(filepath.Dir(p.Cert)), w.Add(filepath.Dir(p.Key))); err != nil {
			m.cfg.Log.Warn("certificate files are not watched: reload by hand", "file", p.Cert, "error", err)
		}
	}
	quiet := time.NewTimer(0) // what changed since New is read at once
	defer quiet.Stop()
	for {
		select {
		case <-w.Events:
			quiet.Reset(settle)
		case err := <-w.Errors:
			m.cfg.Log.Warn("certificate files: the watch failed", "error", err)
			quiet.Reset(settle)
		case <-quiet.C:
			m.reloadIfChanged()
		case <-ctx.Done():
			return nil
		}
	}
}

// reloadIfChanged reloads and says so, when there is something to say.
func (m *Manager) reloadIfChanged() {
	before := *m.local.Load()
	if err := m.Reload(); err != nil {
		m.cfg.Log.Error("certificate files were not reloaded: the old certificates stay", "error", err)
		return
	}
	for i, e := range *m.local.Load() {
		if i < len(before) && !before[i].cert.Leaf.Equal(e.cert.Leaf) {
			m.cfg.Log.Info("new certificate", "file", e.path, "hosts", e.cert.Leaf.DNSNames, "until", e.cert.Leaf.NotAfter)
		}
	}
}
