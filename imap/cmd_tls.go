package imap

import (
	"bytes"
	"compress/flate"
	"context"
	"crypto/tls"
	"fmt"
	"io"

	"facteur/imap/deflate"
)

// startTLS is RFC 9051 6.2.1. What a client, or somebody in between, has sent in the
// clear behind the command would be taken for the client's own: that ends the session.
func (s *session) startTLS(ctx context.Context, r *request) error {
	if s.dec.End(); s.dec.Err() != nil {
		return s.dec.Err()
	}
	if s.tls != nil || s.srv.cfg.TLS == nil {
		return bad("TLS is not available")
	}
	if s.br.Buffered() > 0 {
		s.out.printf("* BYE [CLIENTBUG] Plaintext behind STARTTLS\r\n")
		return errBye
	}
	s.tagged(r, &response{"OK", "", "Begin TLS negotiation now."})
	if err := s.out.flush(); err != nil {
		return err
	}
	s.park()
	if err := s.handshake(ctx, tls.Server(s.net, s.srv.cfg.TLS)); err != nil {
		return fmt.Errorf("%w: STARTTLS: %w", errBye, err)
	}
	return errAnswered
}

// compress is RFC 4978.
func (s *session) compress(_ context.Context, r *request) error {
	s.dec.SP()
	mechanism := s.dec.Keyword()
	if s.dec.End(); s.dec.Err() != nil {
		return s.dec.Err()
	}
	switch {
	case mechanism != "DEFLATE":
		return no("CANNOT", "Unknown compression mechanism")
	case s.inflater != nil:
		return no("COMPRESSIONACTIVE", "DEFLATE is active already")
	}
	s.tagged(r, &response{"OK", "", "DEFLATE active."})
	if err := s.out.flush(); err != nil {
		return err
	}
	// What the client sent right behind the command is compressed already.
	early := make([]byte, s.br.Buffered())
	if _, err := io.ReadFull(s.br, early); err != nil {
		return err
	}
	s.inflater = deflate.NewReader(io.MultiReader(bytes.NewReader(early), s.net))
	s.src = s.inflater
	s.deflater = &compressor{srv: s.srv, w: s.out.w}
	s.out.w, s.out.sync = s.deflater, s.deflater.flush
	return errAnswered
}

// endCompression sends what has been gathered, and goes on without compression in both directions.
func (s *session) endCompression() error {
	err := s.out.flush()
	if err == nil {
		err = s.deflater.end()
	}
	s.src, s.out.w, s.out.sync = s.net, s.deflater.w, nil
	s.inflater, s.deflater = nil, nil
	return err
}

// compressor compresses what is written. A flate.Writer takes more than half a
// megabyte, so an idle session has none: each burst of responses starts with an empty
// dictionary, which the client's end doesn't notice.
type compressor struct {
	srv *Server
	w   io.Writer
	fw  *flate.Writer
}

func (c *compressor) Write(p []byte) (int, error) {
	c.hold()
	return c.fw.Write(p)
}

func (c *compressor) hold() {
	if c.fw == nil {
		c.fw = c.srv.deflaters.Get().(*flate.Writer)
		c.fw.Reset(c.w)
	}
}

// flush sends all that has been written, up to an octet's end.
func (c *compressor) flush() error {
	if c.fw == nil {
		return nil
	}
	err := c.fw.Flush()
	c.release()
	return err
}

// end is flush, and ends the stream: a client sees where it does.
func (c *compressor) end() error {
	c.hold()
	err := c.fw.Close()
	c.release()
	return err
}

func (c *compressor) release() {
	c.srv.deflaters.Put(c.fw)
	c.fw = nil
}
