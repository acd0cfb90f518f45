package linger

import (
	"io"
	"net"
	"testing"
	"time"
)

// dial returns both ends of a TCP connection.
func dial(t *testing.T) (client, server net.Conn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if client, err = net.Dial("tcp", ln.Addr().String()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	if server, err = ln.Accept(); err != nil {
		t.Fatal(err)
	}
	return client, server
}

// Input that nobody has read costs the peer none of our last words.
func TestLastWordsArrive(t *testing.T) {
	client, server := dial(t)
	if _, err := client.Write(make([]byte, 100_000)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(server, "bye"); err != nil {
		t.Fatal(err)
	}
	go Close(server)
	if got, err := io.ReadAll(client); string(got) != "bye" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
}

// A peer that keeps its end open, silent or not, holds us up for a second.
func TestCloseDoesNotWaitForEver(t *testing.T) {
	for _, talks := range []bool{false, true} {
		client, server := dial(t)
		if talks {
			go func() {
				for {
					if _, err := client.Write([]byte("x")); err != nil {
						return
					}
					time.Sleep(time.Millisecond)
				}
			}()
		}
		begin := time.Now()
		Close(server)
		if took := time.Since(begin); took > 10*maxTime {
			t.Errorf("took %v, the peer talks: %t", took, talks)
		}
		if _, err := server.Read(make([]byte, 1)); err == nil {
			t.Error("not closed")
		}
	}
}
