package main

import (
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

// configError puts file, line and a hint to an error of the TOML decoder.
func configError(name string, err error) error {
	var unknown *toml.StrictMissingError
	if errors.As(err, &unknown) {
		var errs []error
		for _, e := range unknown.Errors {
			line, _ := e.Position()
			errs = append(errs, fmt.Errorf("%s:%d: unknown key %q%s", name, line, strings.Join(e.Key(), "."), keyHint(e.Key())))
		}
		return errors.Join(errs...)
	}
	var bad *toml.DecodeError
	if errors.As(err, &bad) {
		line, _ := bad.Position()
		text := strings.TrimPrefix(bad.Error(), "toml: ")
		text = mismatch(strings.TrimPrefix(text, "error calling UnmarshalText: "))
		if key := strings.Join(bad.Key(), "."); key != "" && !strings.Contains(text, key) {
			text = key + ": " + text
		}
		return fmt.Errorf("%s:%d: %s", name, line, text)
	}
	return fmt.Errorf("%s: %w", name, err)
}

// mismatch says what a key takes, where the decoder speaks of types of Go.
func mismatch(text string) string {
	if text == "cannot store an array table in a struct" {
		return "it is one table, in single brackets"
	}
	got, target, found := strings.Cut(text, " into struct field ")
	got, isMismatch := strings.CutPrefix(got, "cannot decode TOML ")
	_, target, typed := strings.Cut(target, " of type ")
	if !found || !isMismatch || !typed {
		return text
	}
	wanted := "a table"
	switch {
	case strings.HasPrefix(target, "[]"):
		wanted = "a list in [ ]"
	case target == "string":
		wanted = "text in quotes"
	case target == "bool":
		wanted = "true or false"
	case target == "int":
		wanted = "a whole number without quotes"
	}
	return fmt.Sprintf("it takes %s, and this is: %s", wanted, got)
}

// keyHint finds the known key next to an unknown one: in its own table by
// spelling, or the same word in another table.
func keyHint(key toml.Key) string {
	if len(key) == 0 {
		return ""
	}
	parent, last := strings.Join(key[:len(key)-1], "."), key[len(key)-1]
	best, bestDistance := "", 3
	for _, known := range allConfigKeys() {
		table, word := "", known
		if i := strings.LastIndexByte(known, '.'); i >= 0 {
			table, word = known[:i], known[i+1:]
		}
		d := editDistance(last, word)
		if table != parent {
			d = d*2 + 1 // another table: only a nearly equal word helps
		}
		if d < bestDistance {
			best, bestDistance = known, d
		}
	}
	if best == "" {
		return "; \"facteur config keys\" lists all"
	}
	return fmt.Sprintf("; did you mean %q?", best)
}

// allConfigKeys lists every key of facteur.toml.
func allConfigKeys() []string { return configKeys(reflect.TypeFor[Config](), "") }

// configKeys lists all keys with their tables, dotted, in the order of the struct.
func configKeys(t reflect.Type, prefix string) []string {
	var keys []string
	for i := range t.NumField() {
		f := t.Field(i)
		name, ft := prefix+f.Tag.Get("toml"), f.Type
		if ft.Kind() == reflect.Slice {
			ft = ft.Elem()
		}
		if ft.Kind() == reflect.Struct && ft.NumField() > 0 && ft.Field(0).Tag.Get("toml") != "" {
			keys = append(keys, name)
			keys = append(keys, configKeys(ft, name+".")...)
			continue
		}
		keys = append(keys, name)
	}
	return keys
}

// changedKeys lists the keys that differ.
func changedKeys(a, b Config) []string {
	return differences(reflect.ValueOf(a), reflect.ValueOf(b), "")
}

func differences(a, b reflect.Value, prefix string) []string {
	var keys []string
	for i := range a.NumField() {
		f, x, y := a.Type().Field(i), a.Field(i), b.Field(i)
		name := prefix + f.Tag.Get("toml")
		if x.Kind() == reflect.Struct && x.NumField() > 0 && f.Type.Field(0).Tag.Get("toml") != "" {
			keys = append(keys, differences(x, y, name+".")...)
		} else if !reflect.DeepEqual(x.Interface(), y.Interface()) {
			keys = append(keys, name)
		}
	}
	return keys
}

// editDistance is Levenshtein's.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
