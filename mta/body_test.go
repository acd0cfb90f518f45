package mta

import (
	"io"
	"os"
	"path/filepath"
	"testing"
	"testing/iotest"
)

func spooled(t *testing.T, text string) *Body {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "spool"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(text); err != nil {
		t.Fatal(err)
	}
	return BodyFile(f, int64(len(text)), headerLen([]byte(text)), true)
}

// A Body reads the same from memory and from a file, with its own header and
// with another one, replaced once or twice.
func TestBodyWithHeader(t *testing.T) {
	const text = "Subject: one\r\nTo: b\r\n\r\ncontent\r\n"
	kinds := map[string]func() *Body{
		"memory": func() *Body { return BodyBytes([]byte(text)) },
		"file":   func() *Body { return spooled(t, text) },
	}
	for kind, open := range kinds {
		t.Run(kind, func(t *testing.T) {
			b := open()
			check(t, b, "Subject: one\r\nTo: b\r\n\r\n", text)
			if (b.Path() != "") != (kind == "file") {
				t.Errorf("path %q", b.Path())
			}
			b = b.WithHeader([]byte("Subject: a longer one than before\r\n\r\n"))
			check(t, b, "Subject: a longer one than before\r\n\r\n", "Subject: a longer one than before\r\n\r\ncontent\r\n")
			b = b.WithHeader([]byte("X: y\r\n\r\n"))
			check(t, b, "X: y\r\n\r\n", "X: y\r\n\r\ncontent\r\n")
			if b.Path() != "" {
				t.Error("a replaced header must not be lost with the file's name")
			}
			if err := b.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

func check(t *testing.T, b *Body, header, all string) {
	t.Helper()
	h, err := b.Header()
	if err != nil || string(h) != header {
		t.Errorf("header %q, %v", h, err)
	}
	if b.Size() != int64(len(all)) || b.HeaderSize() != int64(len(header)) {
		t.Errorf("sizes %d and %d", b.Size(), b.HeaderSize())
	}
	if err := iotest.TestReader(b.Reader(), []byte(all)); err != nil {
		t.Error(err)
	}
	if _, err := b.ReadAt(make([]byte, 1), b.Size()); err != io.EOF {
		t.Errorf("after the end: %v", err)
	}
}

// Close removes the spool file it was told to remove.
func TestBodyCloseRemovesSpool(t *testing.T) {
	b := spooled(t, "A: b\r\n\r\n")
	path := b.Path()
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("spool file left behind: %v", err)
	}
}
