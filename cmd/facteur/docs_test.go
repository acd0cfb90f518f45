package main

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// docs/protocols.md lists each RFC with the rooms that implement it. The rooms' doc.go say
// the same, and neither may know of one that the other does not.
func TestProtocolsPageAgreesWithTheRooms(t *testing.T) {
	root := filepath.Join("..", "..")
	text, err := os.ReadFile(filepath.Join(root, "docs", "protocols.md"))
	if err != nil {
		t.Fatal(err)
	}
	page := make(map[string][]string) // RFC: rooms
	for _, line := range strings.Split(string(text), "\n") {
		cells := strings.Split(line, "|")
		if len(cells) < 5 {
			continue
		}
		number := strings.TrimSpace(cells[1])
		if !regexp.MustCompile(`^\d{3,5}$`).MatchString(number) {
			continue
		}
		if page[number] != nil {
			t.Errorf("RFC %s stands in docs/protocols.md twice", number)
		}
		page[number] = regexp.MustCompile(`[a-z0-9/]+`).FindAllString(cells[len(cells)-2], -1)
	}
	rooms := roomRFCs(t, root)
	for room, numbers := range rooms {
		for _, n := range numbers {
			if !slices.Contains(page[n], room) {
				t.Errorf("%s/doc.go names RFC %s; its line in docs/protocols.md does not name %s", room, n, room)
			}
		}
	}
	for n, list := range page {
		for _, room := range list {
			if !slices.Contains(rooms[room], n) {
				t.Errorf("docs/protocols.md says that RFC %s is in %s; its doc.go does not", n, room)
			}
		}
	}
}

// roomRFCs reads the numbers of the RFCs that each room's doc.go names.
func roomRFCs(t *testing.T, root string) map[string][]string {
	rooms := make(map[string][]string)
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.Name() != "doc.go" {
			if entry != nil && entry.IsDir() && (entry.Name() == ".git" || entry.Name() == "node_modules") {
				return fs.SkipDir
			}
			return err
		}
		room, err := filepath.Rel(root, filepath.Dir(path))
		if err != nil {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		if file.Doc != nil {
			rooms[room] = namedRFCs(file.Doc.Text())
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return rooms
}

// namedRFCs finds the numbers in the paragraphs that begin with "RFC", such as "RFC 5321 4.5.1, 6531 and 8314
// (TLS), 3461 (DSN).": those of three to five digits without a dot, outside of parentheses.
func namedRFCs(doc string) []string {
	var numbers []string
	for _, paragraph := range strings.Split(doc, "\n\n") {
		if !strings.HasPrefix(paragraph, "RFC ") {
			continue
		}
		paragraph = regexp.MustCompile(`\([^)]*\)`).ReplaceAllString(paragraph, "")
		for _, word := range regexp.MustCompile(`[^\s,;:]+`).FindAllString(paragraph, -1) {
			word = strings.TrimRight(word, ".")
			if regexp.MustCompile(`^\d{3,5}$`).MatchString(word) && !slices.Contains(numbers, word) {
				numbers = append(numbers, word)
			}
		}
	}
	slices.Sort(numbers)
	return numbers
}
