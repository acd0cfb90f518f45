package maildir

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
)

// InfoFile is the text file in each folder.
const InfoFile = "facteur"

// Info is what the text file "facteur" in a folder holds: what can't be found out
// again from the messages.
type Info struct {
	UIDValidity uint32
	UIDBound    uint32 // all UIDs handed out are below it
	ModSeqBound uint64 // all ModSeqs handed out are below it
	ID          string // RFC 8474 MAILBOXID
	Use         string // special use, "\\Sent"
	Subscribed  bool
	Keywords    []string          // number 0 to 25 are the letters a to z, the rest goes into K=
	Meta        map[string][]byte // METADATA entries
	Names       []string          // of the account: subscribed names
}

// ErrInfo: the text file is damaged.
var ErrInfo = errors.New("text file \"facteur\" is damaged")

// Format writes the text: a key and a value in each line. What a client chose is
// quoted as Go does it, so that it stays one line of printable text.
func (in *Info) Format() []byte {
	b := []byte("facteur 1\n")
	line := func(key, value string) { b = append(append(append(append(b, key...), ' '), value...), '\n') }
	line("uidvalidity", strconv.FormatUint(uint64(in.UIDValidity), 10))
	line("uidbound", strconv.FormatUint(uint64(in.UIDBound), 10))
	if in.ModSeqBound != 0 {
		line("modseqbound", strconv.FormatUint(in.ModSeqBound, 10))
	}
	if in.ID != "" {
		line("id", strconv.QuoteToASCII(in.ID))
	}
	if in.Use != "" {
		line("use", strconv.QuoteToASCII(in.Use))
	}
	if in.Subscribed {
		line("subscribed", "yes")
	}
	for i, k := range in.Keywords {
		line("keyword", strconv.Itoa(i)+" "+strconv.QuoteToASCII(k))
	}
	for _, k := range slices.Sorted(maps.Keys(in.Meta)) {
		line("meta", strconv.QuoteToASCII(k)+" "+base64.StdEncoding.EncodeToString(in.Meta[k]))
	}
	for _, n := range in.Names {
		line("name", strconv.QuoteToASCII(n))
	}
	return append(b, "end\n"...)
}

// ParseInfo reads what Format wrote. Keys of a newer version are passed over.
func ParseInfo(text []byte) (*Info, error) {
	body, ok := strings.CutPrefix(string(text), "facteur 1\n")
	if !ok || !strings.HasSuffix(body, "end\n") { // cut off by a crash of the file system
		return nil, ErrInfo
	}
	in := &Info{}
	for line := range strings.SplitSeq(strings.TrimSuffix(body, "end\n"), "\n") {
		key, value, _ := strings.Cut(line, " ")
		if err := in.line(key, value); err != nil {
			return nil, fmt.Errorf("%w: line %.60q", ErrInfo, line)
		}
	}
	return in, nil
}

func (in *Info) line(key, value string) (err error) {
	switch key {
	case "uidvalidity":
		in.UIDValidity, err = parse32(value)
	case "uidbound":
		in.UIDBound, err = parse32(value)
	case "modseqbound":
		in.ModSeqBound, err = strconv.ParseUint(value, 10, 63)
	case "id":
		in.ID, err = strconv.Unquote(value)
	case "use":
		in.Use, err = strconv.Unquote(value)
	case "subscribed":
		in.Subscribed = value == "yes"
	case "keyword":
		index, quoted, _ := strings.Cut(value, " ")
		if index != strconv.Itoa(len(in.Keywords)) {
			return ErrInfo
		}
		var k string
		k, err = strconv.Unquote(quoted)
		in.Keywords = append(in.Keywords, k)
	case "meta":
		end := strings.LastIndexByte(value, ' ')
		if end < 0 {
			return ErrInfo
		}
		name, err := strconv.Unquote(value[:end])
		if err != nil {
			return err
		}
		data, err := base64.StdEncoding.DecodeString(value[end+1:])
		if err != nil {
			return err
		}
		if in.Meta == nil {
			in.Meta = map[string][]byte{}
		}
		in.Meta[name] = data
	case "name":
		var n string
		n, err = strconv.Unquote(value)
		in.Names = append(in.Names, n)
	}
	return err
}

func parse32(s string) (uint32, error) {
	v, err := strconv.ParseUint(s, 10, 32)
	return uint32(v), err
}

// ReadInfo reads a text file; fs.ErrNotExist when there is none.
func ReadInfo(fsys FS, name string) (*Info, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, 16<<20))
	if err != nil {
		return nil, err
	}
	return ParseInfo(text)
}

// WriteInfo replaces a text file durably: after a crash there is the old one or the
// new one, whole.
func WriteInfo(fsys FS, name string, in *Info) error {
	temp := name + ".new"
	err := fsys.Remove(temp) // of a crash
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := fsys.Create(temp)
	if err != nil {
		return err
	}
	_, err = f.Write(in.Format())
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = fsys.Rename(temp, name)
	}
	if err == nil {
		err = fsys.SyncDir(path.Dir(name))
	}
	if err != nil {
		fsys.Remove(temp)
	}
	return err
}
