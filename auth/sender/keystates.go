package sender

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

const statesFile = "states.json"

// keyState is what states.json says of one selector.
type keyState struct {
	State KeyState  `json:"state"`
	Since time.Time `json:"since"`
}

func readStates(file string) (map[string]keyState, error) {
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var states map[string]keyState
	if err := json.Unmarshal(text, &states); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	for selector, s := range states {
		if s.State != KeyWaiting && s.State != KeyActive && s.State != KeyRetired {
			return nil, fmt.Errorf("%s: selector %s has the unknown state %q", file, selector, s.State)
		}
	}
	return states, nil
}

// store writes the states of a domain's keys, then makes keys the ones we use; kr.mu is held.
func (kr *Keyring) store(domain string, keys []*signingKey) error {
	states := make(map[string]keyState)
	for _, k := range keys {
		states[k.Selector] = keyState{k.State, k.Since}
	}
	text, err := json.MarshalIndent(states, "", "  ")
	if err != nil {
		return err
	}
	if err := writeFile(filepath.Join(kr.dir, domain, statesFile), append(text, '\n')); err != nil {
		return fmt.Errorf("write the states of DKIM keys: %w", err)
	}
	kr.keys[domain] = keys
	return nil
}

// writeFile puts a file of mode 0600 in place whole or not at all.
func writeFile(path string, text []byte) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), ".new-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.Write(text)
	err = errors.Join(err, tmp.Sync(), tmp.Close())
	if err != nil {
		return err
	}
	if err := os.Rename(tmp.Name(), path); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
