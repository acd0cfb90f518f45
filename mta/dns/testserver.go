package dns

import (
	"context"
	"net/netip"
	"testing"
)

// TestServer serves the text of a zone on loopback until the test ends.
func TestServer(t testing.TB, zone string) netip.AddrPort {
	t.Helper()
	z, err := NewZone(zone)
	if err != nil {
		t.Fatal(err)
	}
	return TestZone(t, z)
}

// TestZone serves a zone, which the test may Load anew, on loopback until the test ends.
func TestZone(t testing.TB, z *Zone) netip.AddrPort {
	t.Helper()
	srv, err := Listen(z, netip.MustParseAddrPort("127.0.0.1:0"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- srv.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return srv.Addr()
}
