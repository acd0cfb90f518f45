package imap

import (
	"context"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// FuzzSession feeds a session any octets, logged in and with a mailbox selected: it must
// end without a panic when its input does.
func FuzzSession(f *testing.F) {
	for _, seed := range []string{
		"b FETCH 1:* (FLAGS BODY[1.2.HEADER.FIELDS (a b)]<1.2>)\r\nc UID SEARCH RETURN (SAVE) OR 1 NOT (SEEN)\r\n",
		"b APPEND INBOX (\\Seen) {3+}\r\nabc {2+}\r\nxy\r\nc STORE 1 (UNCHANGEDSINCE 5) +FLAGS.SILENT x\r\n",
		"b NOTIFY SET STATUS (subtree (a b) (MessageNew (uid) MessageExpunge))\r\nIDLE\r\nx IDLE\r\nDONE\r\n",
		"b SELECT INBOX (QRESYNC (1 2 3:4 (1,2 3,4)))\r\nc LIST (SUBSCRIBED) \"\" (% *) RETURN (STATUS (UIDNEXT))\r\n",
		"b GETMETADATA (DEPTH 1) \"\" (/private/a)\r\nc ESEARCH IN (personal) RETURN (MIN) ALL\r\nd SORT (DATE) UTF-8 ALL\r\n",
		"b APPEND x CATENATE (URL \"/INBOX/;UID=1/;SECTION=1\" TEXT {1+}\r\nx)\r\nc THREAD REFERENCES UTF-8 TEXT {1+}\r\nx\r\n",
		"b ENABLE UIDONLY QRESYNC\r\nc UID FETCH 1:* (UID BODYSTRUCTURE) (CHANGEDSINCE 0 VANISHED)\r\nd UIDBATCHES 500 1:2\r\n",
		"b REPLACE 1 INBOX {1+}\r\nz\r\nc UID MOVE 1 Archive\r\nd COMPRESS DEFLATE\r\n\x00\xff\xff",
	} {
		f.Add(seed)
	}
	h := newHouse(f, nil)
	c := h.login()
	c.ok("APPEND INBOX {29+}\r\nSubject: x\r\nFrom: a@b\r\n\r\nhi\r\n")
	f.Fuzz(func(t *testing.T, input string) {
		// Messages of this input's own making must not fill the store over hours.
		if strings.Count(strings.ToUpper(input), "APPEND") > 3 || len(input) > 10000 {
			return
		}
		faults := make(chan string, 100)
		h.fault = func(message string) { faults <- message }
		ours, theirs := net.Pipe()
		ended := make(chan struct{})
		go func() {
			newConn(h.srv, theirs).serve(context.Background())
			close(ended)
		}()
		go io.Copy(io.Discard, ours)
		ours.SetWriteDeadline(time.Now().Add(10 * time.Second))
		io.WriteString(ours, "a LOGIN "+alice+" secret\r\na SELECT INBOX\r\n"+input)
		ours.Close()
		select {
		case <-ended:
			if len(faults) > 0 {
				t.Fatal(<-faults)
			}
		case <-time.After(10 * time.Second):
			t.Fatal("the session goes on without a client")
		}
	})
}
