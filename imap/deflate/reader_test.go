package deflate

import (
	"bytes"
	"compress/flate"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"testing/iotest"
)

func compress(t testing.TB, level int, parts ...string) []byte {
	var out bytes.Buffer
	w, err := flate.NewWriter(&out, level)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range parts {
		io.WriteString(w, p)
		w.Flush()
	}
	w.Close()
	return out.Bytes()
}

func sample() string {
	r := rand.New(rand.NewPCG(1, 2))
	var b strings.Builder
	for b.Len() < 300<<10 {
		if r.IntN(3) == 0 {
			for range r.IntN(50) {
				b.WriteByte(byte(r.IntN(256)))
			}
		}
		b.WriteString(strings.Repeat("tag FETCH 1:* (FLAGS)\r\n", r.IntN(4)))
	}
	return b.String()
}

func TestInflate(t *testing.T) {
	want := sample()
	for _, level := range []int{flate.NoCompression, flate.BestSpeed, flate.DefaultCompression, flate.HuffmanOnly} {
		stream := compress(t, level, want[:1000], want[1000:])
		for name, src := range map[string]io.Reader{
			"whole":      bytes.NewReader(stream),
			"one octet":  iotest.OneByteReader(bytes.NewReader(stream)),
			"half reads": iotest.HalfReader(bytes.NewReader(stream)),
		} {
			got, err := io.ReadAll(NewReader(src))
			if err != nil || string(got) != want {
				t.Errorf("level %d, %s: %d octets of %d, %v", level, name, len(got), len(want), err)
			}
		}
	}
}

// A client that flushes with Z_PARTIAL_FLUSH ends a command inside a block with an empty
// static one; the reader of compress/flate keeps the command to itself.
func TestPartialFlush(t *testing.T) {
	// "a1 NOOP\r\n" in a static block that has its end, then an empty static block that is
	// not yet followed by anything.
	var w bitWriter
	w.put(0b010, 3)
	for _, c := range []byte("a1 NOOP\r\n") {
		w.huffman(uint32(c)+0x30, 8)
	}
	w.put(0, 7)     // end of block
	w.put(0b010, 3) // empty static block
	w.put(0, 7)
	src, feed := io.Pipe()
	go feed.Write(w.bytes())
	r := NewReader(src)
	got := make([]byte, 0, 9)
	for len(got) < 9 {
		b := make([]byte, 16)
		n, err := r.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, b[:n]...)
	}
	if string(got) != "a1 NOOP\r\n" {
		t.Errorf("got %q", got)
	}
}

// The window reaches back over a restart of the other side's compressor.
func TestRestartedCompressor(t *testing.T) {
	var out bytes.Buffer
	w, _ := flate.NewWriter(&out, flate.BestSpeed)
	for range 3 {
		w.Reset(&out)
		io.WriteString(w, strings.Repeat("hello hello ", 20))
		w.Flush()
	}
	r := NewReader(bytes.NewReader(out.Bytes()))
	got, err := io.ReadAll(r)
	if want := strings.Repeat("hello hello ", 60); string(got) != want || err != io.ErrUnexpectedEOF {
		t.Errorf("%d octets, %v", len(got), err)
	}
}

func TestCorrupt(t *testing.T) {
	for _, in := range []string{"\x07", "\x00\x00\x00\x00\x00", "\x63\x00\xff\xff\xff"} {
		if _, err := io.ReadAll(NewReader(strings.NewReader(in))); !errors.Is(err, ErrCorrupt) && err != io.ErrUnexpectedEOF {
			t.Errorf("%q: %v", in, err)
		}
	}
}

// FuzzInflate compares with compress/flate on any input.
func FuzzInflate(f *testing.F) {
	f.Add(compress(f, flate.DefaultCompression, "hello hello hello", "world"))
	f.Add(compress(f, flate.NoCompression, "stored"))
	f.Add(compress(f, flate.BestSpeed, strings.Repeat("abc", 100)))
	f.Fuzz(func(t *testing.T, in []byte) {
		const most = 1 << 20
		want, wantErr := io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(in)), most))
		got, err := io.ReadAll(io.LimitReader(NewReader(iotest.HalfReader(bytes.NewReader(in))), most))
		if wantErr == nil && (err != nil || !bytes.Equal(got, want)) {
			t.Fatalf("%d octets, %v; compress/flate has %d", len(got), err, len(want))
		}
		// They may give up on a corrupt stream at different places.
		if n := min(len(got), len(want)); !bytes.Equal(got[:n], want[:n]) {
			t.Fatal("not what compress/flate has")
		}
	})
}

func BenchmarkInflate(b *testing.B) {
	text := sample()
	stream := compress(b, flate.DefaultCompression, text)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		io.Copy(io.Discard, NewReader(bytes.NewReader(stream)))
	}
}

// bitWriter writes bits as RFC 1951 3.1.1 orders them.
type bitWriter struct {
	acc uint64
	n   uint
	out []byte
}

func (w *bitWriter) put(v uint32, n uint) {
	w.acc |= uint64(v) << w.n
	for w.n += n; w.n >= 8; w.n -= 8 {
		w.out = append(w.out, byte(w.acc))
		w.acc >>= 8
	}
}

// huffman puts a code, its highest bit first.
func (w *bitWriter) huffman(code uint32, n uint) {
	for n > 0 {
		n--
		w.put(code>>n&1, 1)
	}
}

func (w *bitWriter) bytes() []byte { return append(w.out, byte(w.acc)) }

// A flush that comes octet by octet is waited for; more than it, and less, is no place to leave the stream.
func TestRest(t *testing.T) {
	var flushed bytes.Buffer
	w, err := flate.NewWriter(&flushed, flate.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(w, "text")
	w.Flush()
	stream := flushed.String()
	w.Close()
	ended := flushed.String()
	for _, c := range []struct {
		name, in string
		want     bool
	}{
		{"flushed", stream, true},
		{"ended", ended, true},
		{"cut off", stream[:len(stream)-1], false},
		{"more text", stream + stream, false},
		{"in the clear behind a flush", stream + "b NOOP\r\n", false},
		{"in the clear behind the end", ended + "b NOOP\r\n", false},
	} {
		for _, in := range []io.Reader{strings.NewReader(c.in), iotest.OneByteReader(strings.NewReader(c.in))} {
			if _, once := in.(*strings.Reader); !once && len(c.in) > len(ended) {
				continue // what comes later can't be known
			}
			r := NewReader(io.MultiReader(in, iotest.ErrReader(os.ErrDeadlineExceeded)))
			if _, err := io.ReadFull(r, make([]byte, len("text"))); err != nil {
				t.Fatal(err)
			}
			if got := r.Rest(); got != c.want {
				t.Errorf("%s: %t", c.name, got)
			}
		}
	}
}
