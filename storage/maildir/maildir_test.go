package maildir

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestEncodeName(t *testing.T) {
	for _, c := range []struct {
		name, folder string
		err          error
	}{
		{"INBOX", "", nil},
		{"inbox", "", nil},
		{"inbox/Sub", ".INBOX.Sub", nil},
		{"Archive/2026", ".Archive.2026", nil},
		{"a.b", ".a&AC4-b", nil},
		{"..", "." + "&AC4ALg-", nil},
		{"../../etc/passwd", "", nil},
		{"A & B", ".A &- B", nil},
		{"Entwürfe", ".Entw&APw-rfe", nil},
		{"日本", ".&ZeVnLA-", nil},
		{"😀", ".&2D3eAA-", nil},
		{"", "", ErrName},
		{"a//b", "", ErrName},
		{"/a", "", ErrName},
		{"a\x00b", "", ErrName},
		{"a\r\nb", "", ErrName},
		{"\xff", "", ErrName},
		{strings.Repeat("a/", 50) + "a", "", ErrTooLong},
		{strings.Repeat("ü", 100), "", ErrTooLong},
		{strings.Repeat("a", 254), "." + strings.Repeat("a", 254), nil},
		{strings.Repeat("a", 255), "", ErrTooLong},
	} {
		folder, err := EncodeName(c.name)
		if !errors.Is(err, c.err) || (c.folder != "" && folder != c.folder) {
			t.Errorf("EncodeName(%q) = %q, %v", c.name, folder, err)
		}
		if strings.Contains(folder, "/") || folder == "." || folder == ".." {
			t.Errorf("EncodeName(%q) = %q leads elsewhere", c.name, folder)
		}
	}
	for _, folder := range []string{".", "..", ".a..b", "a", ".&AGE-", ".Entwürfe", ".&", ".&AC4", ".INBOX", ".inbox.x", ".&2D0-", ".a\x01", ".&AC8-"} {
		if name, err := DecodeName(folder); err == nil {
			t.Errorf("DecodeName(%q) = %q", folder, name)
		}
	}
}

func FuzzEncodeName(f *testing.F) {
	for _, s := range []string{"INBOX", "a.b/c", "../x", "&", "Entwürfe", "😀\u200d", "\uFFFD", "a/inbox"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, name string) {
		folder, err := EncodeName(name)
		if err != nil {
			return
		}
		if strings.ContainsAny(folder, "/\x00") || folder == "." || folder == ".." || len(folder) > MaxFolder {
			t.Fatalf("%q: folder %q", name, folder)
		}
		clean, err := CleanName(name)
		if err != nil {
			t.Fatal(err)
		}
		if back, err := DecodeName(folder); err != nil || back != clean {
			t.Fatalf("%q: folder %q, back %q, %v", name, folder, back, err)
		}
	})
}

func FuzzDecodeName(f *testing.F) {
	for _, s := range []string{"", ".a.b", ".&AC4-", ".&-", ".&ZeVnLA-"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, folder string) {
		name, err := DecodeName(folder)
		if err != nil {
			return
		}
		if back, err := EncodeName(name); err != nil || back != folder {
			t.Fatalf("%q: name %q, back %q, %v", folder, name, back, err)
		}
	})
}

func FuzzEncodeAccount(f *testing.F) {
	for _, s := range []string{"alice@example.org", "../../x@..", "a/b@c\\d", "%@%", "\"a@b\"@c", "x@", "@"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, account string) {
		folder, err := EncodeAccount(account)
		if err != nil {
			return
		}
		domain, local, ok := strings.Cut(folder, "/")
		if !ok || strings.Contains(local, "/") || strings.HasPrefix(domain, ".") || strings.HasPrefix(local, ".") || domain == "" || local == "" {
			t.Fatalf("%q: folder %q", account, folder)
		}
		if back, err := DecodeAccount(domain, local); err != nil || back != account {
			t.Fatalf("%q: folder %q, back %q, %v", account, folder, back, err)
		}
	})
}

func TestParseFileName(t *testing.T) {
	for name, want := range map[string]FileName{
		"1700000000.fabc.mail,S=10,W=12,I=77-3:2,FS":        {"1700000000.fabc.mail", 10, 12, 77, 3, "", "FS"},
		"1700000000.fabc.mail,S=10,W=10,I=77-3,K=0q0r:2,Sa": {"1700000000.fabc.mail", 10, 10, 77, 3, "0q0r", "Sa"},
		"1435.M1P2.dove,S=123,W=140:2,":                     {"1435.M1P2.dove", 123, 140, 0, 0, "", ""},
		"x":                                                 {"x", -1, -1, 0, 0, "", ""},
		"x,U=5:2,S":                                         {"x,U=5", -1, -1, 0, 0, "", "S"},
		"x,S=-1,I=0-4,W=":                                   {"x,S=-1,I=0-4,W=", -1, -1, 0, 0, "", ""},
		"a:b:1,x":                                           {"a:b", -1, -1, 0, 0, "", ""},
	} {
		if got := ParseFileName(name); got != want {
			t.Errorf("%q: %+v", name, got)
		}
	}
}

func FuzzParseFileName(f *testing.F) {
	f.Add("1700000000.fabc.mail,S=10,W=12,I=77-3,K=0q:2,FS")
	f.Add("x,S=5,,=,U=1:2,:2,S")
	f.Fuzz(func(t *testing.T, name string) {
		n := ParseFileName(name)
		again := ParseFileName(string(n.Append(nil, true)))
		if strings.Contains(n.Base, ":") || strings.Contains(n.Keywords, ":") || n.Base == "" {
			return // not a name that we would keep as it is
		}
		if again != n {
			t.Fatalf("%q: %+v, again %+v", name, n, again)
		}
	})
}

func TestUnique(t *testing.T) {
	base := NewBase(time.Unix(1700000000, 0), NewUnique(), CleanHost("a/b:c,d é"))
	if UniqueOf(base) == "" || TimeOf(base) != 1700000000 || strings.ContainsAny(base, "/:,") {
		t.Error(base)
	}
	if UniqueOf("1700000000.M1P2.host") != "" || OwnUnique("fABCDEFGHIJKLMNOP") {
		t.Error("another program's is taken for ours")
	}
	if CleanHost("") != "localhost" {
		t.Error("empty host")
	}
}

func TestInfo(t *testing.T) {
	in := &Info{
		UIDValidity: 7, UIDBound: 1000, ModSeqBound: 1 << 51, ID: "Mx", Use: "\\Sent", Subscribed: true,
		Keywords: []string{"a", "$Junk", "with space\n"}, Meta: map[string][]byte{"/private/a b": []byte("\x00\n"), "/x": {}},
		Names: []string{"Öf/x", "y\nz"},
	}
	out, err := ParseInfo(in.Format())
	if err != nil || !reflect.DeepEqual(in, out) {
		t.Fatalf("%+v %v", out, err)
	}
	whole := in.Format()
	for i := range whole {
		if _, err := ParseInfo(whole[:i]); err == nil {
			t.Fatalf("cut off after %d octets it is still taken", i)
		}
	}
}

func FuzzParseInfo(f *testing.F) {
	f.Add([]byte("facteur 1\nuidvalidity 7\nkeyword 0 \"a\"\nmeta \"/x\" AA==\nname \"q\"\nend\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		in, err := ParseInfo(text)
		if err != nil {
			return
		}
		again, err := ParseInfo(in.Format())
		if err != nil || !reflect.DeepEqual(in, again) {
			t.Fatalf("%+v, again %+v, %v", in, again, err)
		}
	})
}

func TestFSCannotLeaveItsFolder(t *testing.T) {
	dir := t.TempDir()
	inside := filepath.Join(dir, "in")
	if err := os.Mkdir(inside, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "secret"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("../secret", filepath.Join(inside, "link")); err != nil {
		t.Fatal(err)
	}
	fsys, err := OpenFS(inside)
	if err != nil {
		t.Fatal(err)
	}
	defer fsys.Close()
	for _, name := range []string{"../secret", "link"} {
		if f, err := fsys.Open(name); err == nil {
			f.Close()
			t.Errorf("opened %s", name)
		}
	}
	if err := fsys.Rename("link", "../out"); err == nil {
		t.Error("renamed to the outside")
	}
	if _, err := fsys.Create("../new"); err == nil {
		t.Error("created outside")
	}
}

func TestWriteInfoAfterCrash(t *testing.T) {
	fsys, err := OpenFS(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer fsys.Close()
	if _, err := ReadInfo(fsys, InfoFile); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	f, err := fsys.Create(InfoFile + ".new") // a crash left half of it
	if err != nil {
		t.Fatal(err)
	}
	f.Write([]byte("facteur 1\n"))
	f.Close()
	if err := WriteInfo(fsys, InfoFile, &Info{UIDValidity: 3}); err != nil {
		t.Fatal(err)
	}
	if in, err := ReadInfo(fsys, InfoFile); err != nil || in.UIDValidity != 3 {
		t.Error(in, err)
	}
}

func TestSweepTmpLeavesOthersAlone(t *testing.T) {
	dir := t.TempDir()
	fsys, err := OpenFS(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer fsys.Close()
	if err := CreateFolder(fsys, ".Work", &Info{UIDValidity: 1, UIDBound: 1}); err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	own := NewBase(now, NewUnique(), "host")
	for _, name := range []string{own, "1700000000.M1.other", "1600000000.M2.other"} {
		f, err := fsys.Create(".Work/tmp/" + name)
		if err != nil {
			t.Fatal(err)
		}
		f.Close()
	}
	old := now.Add(-2 * ForeignTmp)
	os.Chtimes(filepath.Join(dir, ".Work/tmp/1600000000.M2.other"), old, old)
	if err := SweepTmp(fsys, ".Work", now); err != nil {
		t.Fatal(err)
	}
	if left, _ := fsys.ReadDir(".Work/tmp"); !reflect.DeepEqual(left, []string{"1700000000.M1.other"}) {
		t.Error(left)
	}
}

func BenchmarkParseFileName(b *testing.B) {
	for b.Loop() {
		ParseFileName("1700000000.fabcdefghijklmnop.mail.example.org,S=10240,W=10240,I=1700000000-12345:2,FS")
	}
}

// INTERNALDATE may be any (RFC 9051 date-time has four digits for the year): nanoseconds since 1970 end in 2262.
func TestTimeOfAFileFarAway(t *testing.T) {
	dir := t.TempDir()
	fsys, err := OpenFS(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer fsys.Close()
	for i, want := range []time.Time{time.Date(2400, 1, 2, 3, 4, 5, 0, time.UTC), time.Date(1950, 1, 2, 3, 4, 5, 0, time.UTC)} {
		name := strconv.Itoa(i)
		f, err := fsys.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(f.SetTime(want), f.Close()); err != nil {
			t.Fatal(err)
		}
		st, err := fsys.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if got := st.ModTime(); got.Year() == 2038 {
			t.Skip("the file system has 32 bits for a time")
		} else if !got.Equal(want) {
			t.Errorf("%v became %v", want, got.UTC())
		}
	}
}
