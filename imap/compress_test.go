package imap

import (
	"bytes"
	"compress/flate"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
)

// flateConn is a connection under COMPRESS=DEFLATE, as a client has it.
type flateConn struct {
	net.Conn
	r io.Reader
	w *flate.Writer
}

func (c *flateConn) Read(p []byte) (int, error) { return c.r.Read(p) }
func (c *flateConn) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	if err == nil {
		err = c.w.Flush()
	}
	return n, err
}

func TestCompress(t *testing.T) {
	h := newHouse(t, nil)
	c := h.login()
	c.compress()
	for i := range 3 { // each burst of the server's begins with an empty dictionary
		c.ok(fmt.Sprintf("APPEND INBOX {%d+}\r\n%s", 50000, strings.Repeat("0123456789", 5000)))
		if got := c.ok("SELECT INBOX"); !strings.Contains(strings.Join(got, "\n"), fmt.Sprintf("* %d EXISTS", i+1)) {
			t.Errorf("after %d messages: %q", i+1, got)
		}
	}
	if got := c.ok("FETCH 1 BODY.PEEK[]")[0]; len(got) < 50000 {
		t.Errorf("a message of 50000 octets came back as %d", len(got))
	}
	if _, tagged := c.do("COMPRESS DEFLATE"); !strings.HasPrefix(tagged, "NO [COMPRESSIONACTIVE]") {
		t.Errorf("twice: %s", tagged)
	}
}

// compress turns compression on; uncompressed goes back to the connection as it was.
func (c *client) compress() (inflated io.Reader, uncompressed func()) {
	c.t.Helper()
	c.ok("COMPRESS DEFLATE")
	plain, br := c.nc, c.br
	w, err := flate.NewWriter(plain, flate.BestCompression)
	if err != nil {
		c.t.Fatal(err)
	}
	inflated = flate.NewReader(br)
	c.nc = &flateConn{plain, inflated, w}
	c.br = newReader(c.nc)
	return inflated, func() { c.nc, c.br = plain, br }
}

// RFC 8437 4.1: both sides end their compression with UNAUTHENTICATE. Ours went on, so that nothing could be
// read or understood any more.
func TestUnauthenticateEndsCompression(t *testing.T) {
	c := newHouse(t, nil).login()
	for range 2 {
		inflated, uncompressed := c.compress()
		c.ok("SELECT INBOX")
		c.ok("UNAUTHENTICATE")
		if n, err := inflated.Read(make([]byte, 1)); n != 0 || err != io.EOF {
			t.Errorf("behind the answer come %d octets, %v", n, err)
		}
		uncompressed()
		c.ok("LOGIN " + alice + " secret")
	}
	if got := c.ok("CAPABILITY")[0]; !strings.Contains(got, " COMPRESS=DEFLATE") {
		t.Errorf("compression is still on: %s", got)
	}
}

// A client that goes on in the clear before it has our answer is told that this is not possible.
func TestCommandsPipelinedBehindCompression(t *testing.T) {
	c := newHouse(t, nil).login()
	_, uncompressed := c.compress()
	var both bytes.Buffer
	w, err := flate.NewWriter(&both, flate.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(w, "a UNAUTHENTICATE\r\n")
	w.Flush()
	both.WriteString("b LOGIN " + alice + " secret\r\n")
	inflated := c.nc
	uncompressed()
	c.send(both.String())
	c.nc = inflated
	c.br = newReader(c.nc)
	if got := c.read(); !strings.HasPrefix(got, "* BYE [UNAVAILABLE]") {
		t.Errorf("got %s", got)
	}
}

// A response that fills the buffer to the brim is written at once, and nothing is left to
// flush: the compressor has to let go of it all the same.
func TestCompressedResponseThatFillsTheBufferIsFlushed(t *testing.T) {
	h := newHouse(t, nil)
	var sent bytes.Buffer
	c := &compressor{srv: h.srv, w: &sent}
	o := output{w: c, sync: c.flush, pool: &h.srv.buffers}
	want := strings.Repeat("x", flushAt)
	o.printf("%s", want)
	if err := o.flush(); err != nil {
		t.Fatal(err)
	}
	got, _ := io.ReadAll(flate.NewReader(&sent)) // ends in the middle: the stream goes on
	if string(got) != want {
		t.Errorf("the client has got %d octets of %d", len(got), len(want))
	}
}
