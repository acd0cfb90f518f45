package main

import (
	"bufio"
	"bytes"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// sink is an SMTP server that takes everything and keeps nothing but when each message came: the
// first number of its Message-ID is the index.
type sink struct {
	ln    net.Listener
	conns atomic.Int64
	count atomic.Int64
	mu    sync.Mutex
	came  map[int]time.Time
}

func newSink() (*sink, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &sink{ln: ln, came: map[int]time.Time{}}
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			s.conns.Add(1)
			go s.serve(c)
		}
	}()
	return s, nil
}

func (s *sink) addr() string { return s.ln.Addr().String() }

// arrived says when the message of that index came, if it did.
func (s *sink) arrived(i int) (time.Time, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at, ok := s.came[i]
	return at, ok
}

// forget lets messages of the same indexes come again.
func (s *sink) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.came)
}

func (s *sink) close() { s.ln.Close() }

func (s *sink) serve(c net.Conn) {
	defer c.Close()
	r := bufio.NewReaderSize(c, 64<<10)
	w := bufio.NewWriter(c)
	say := func(text string) {
		w.WriteString(text)
		if r.Buffered() == 0 {
			w.Flush()
		}
	}
	say("220 sink.test ESMTP\r\n")
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		switch verb, _, _ := strings.Cut(strings.ToUpper(strings.TrimSpace(line)), " "); verb {
		case "EHLO":
			say("250-sink.test\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SIZE 100000000\r\n")
		case "DATA":
			say("354 go\r\n")
			w.Flush()
			if !s.data(r) {
				return
			}
			say("250 2.0.0 taken\r\n")
		case "QUIT":
			say("221 bye\r\n")
			w.Flush()
			return
		default:
			say("250 2.0.0 ok\r\n")
		}
	}
}

func (s *sink) data(r *bufio.Reader) bool {
	id := []byte("message-id: <")
	index := -1
	for {
		line, err := r.ReadSlice('\n')
		if err != nil && err != bufio.ErrBufferFull {
			return false
		}
		switch {
		case len(line) == 3 && line[0] == '.':
			s.mu.Lock()
			s.came[index] = time.Now()
			s.mu.Unlock()
			s.count.Add(1)
			return true
		case index < 0 && len(line) > len(id) && bytes.EqualFold(line[:len(id)], id):
			number, _, _ := bytes.Cut(line[len(id):], []byte("."))
			index, _ = strconv.Atoi(string(number)) // the corpus's own
		}
	}
}
