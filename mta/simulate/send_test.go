package simulate_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"facteur/mta"
	"facteur/mta/dns"
	"facteur/mta/queue"
	"facteur/mta/remote"
	"facteur/mta/simulate"
	"facteur/storage/message"
)

// everywhere is a Resolver for which each domain's server is on 127.0.0.1.
type everywhere struct{}

func (everywhere) MX(_ context.Context, name string) (dns.Answer[dns.MX], error) {
	return dns.Answer[dns.MX]{Records: []dns.MX{{Preference: 10, Host: "mx." + name}}, Name: name}, nil
}

func (everywhere) IPv4(_ context.Context, name string) (dns.Answer[netip.Addr], error) {
	return dns.Answer[netip.Addr]{Records: []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1})}, Name: name}, nil
}

func (everywhere) IPv6(_ context.Context, name string) (dns.Answer[netip.Addr], error) {
	return dns.Answer[netip.Addr]{}, &dns.Error{Name: name, Type: "AAAA", Kind: dns.NoData}
}

func (everywhere) TXT(_ context.Context, name string) (dns.Answer[string], error) {
	return dns.Answer[string]{}, &dns.Error{Name: name, Type: "TXT", Kind: dns.NXDomain}
}

// listen serves a peer on loopback until the test ends, and returns its port.
func listen(t testing.TB, p *simulate.Peer) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- p.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return l.Addr().(*net.TCPAddr).Port
}

func newQueue(t testing.TB, dir string, s *remote.Sender) *queue.Queue {
	t.Helper()
	q, err := queue.Open(dir, queue.Config{Hostname: "home.test", Postmaster: addr("postmaster@home.test"),
		Route: func(domain string) queue.Route { return queue.Route{Transport: s, Key: domain} }})
	if err != nil {
		t.Fatal(err)
	}
	return q
}

func run(t testing.TB, q *queue.Queue) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- q.Run(ctx) }()
	return func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if err := q.Close(); err != nil {
			t.Error(err)
		}
	}
}

func addr(s string) message.AddrSpec {
	a, err := message.ParseAddrSpec(s)
	if err != nil {
		panic(err)
	}
	return a
}

func mail(from string, body []byte, to ...string) *mta.Message {
	m := &mta.Message{ID: mta.NewID(), Arrived: time.Now(), Body: mta.BodyBytes(body)}
	if from != "" {
		m.Env.MailFrom = addr(from)
	}
	for _, a := range to {
		m.Env.To = append(m.Env.To, mta.Recipient{Address: addr(a)})
	}
	return m
}

// tenKiB is the message of the benchmarks.
func tenKiB() []byte {
	return append([]byte("From: a@home.test\r\nSubject: load\r\n\r\n"), bytes.Repeat([]byte(strings.Repeat("x", 78)+"\r\n"), 128)...)
}

// BenchmarkAdd is submission into the queue with its syncs, from 1, 10 and 50 sides.
func BenchmarkAdd(b *testing.B) {
	for _, n := range []int{1, 10, 50} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			q := newQueue(b, b.TempDir(), nil)
			defer q.Close()
			body := tenKiB()
			b.SetParallelism(max(1, n/2)) // times GOMAXPROCS
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if err := q.Add(context.Background(), mail("a@home.test", body, "b@x.test")); err != nil {
						b.Error(err)
					}
				}
			})
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
		})
	}
}

// BenchmarkSend is Add from ten sides, delivery to a peer on loopback, and the record
// of it. "median-ms" is the time from Add's start to the peer's 250.
func BenchmarkSend(b *testing.B) {
	for _, domains := range []int{1, 50} {
		b.Run(fmt.Sprintf("domains=%d", domains), func(b *testing.B) {
			var mu sync.Mutex
			var times []time.Duration
			began := map[string]time.Time{}
			all := make(chan struct{})
			peer := &simulate.Peer{Name: "mx.x.test", Take: func(m simulate.Mail) error {
				mu.Lock()
				defer mu.Unlock()
				times = append(times, time.Since(began[m.To[0]]))
				if len(times) == b.N {
					close(all)
				}
				return nil
			}}
			s := remote.New(remote.Config{Resolver: everywhere{}, Hello: "home.test", Port: listen(b, peer)})
			defer s.Close()
			q := newQueue(b, b.TempDir(), s)
			defer run(b, q)()
			body := tenKiB()
			b.ResetTimer()
			var next int
			var wg sync.WaitGroup
			for range 10 {
				wg.Go(func() {
					for {
						mu.Lock()
						n := next
						next++
						to := fmt.Sprintf("u%d@x%d.test", n, n%domains)
						began[to] = time.Now()
						mu.Unlock()
						if n >= b.N {
							return
						}
						if err := q.Add(context.Background(), mail("a@home.test", body, to)); err != nil {
							b.Error(err)
						}
					}
				})
			}
			wg.Wait()
			<-all
			b.StopTimer()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
			slices.Sort(times)
			b.ReportMetric(float64(times[len(times)/2].Microseconds())/1000, "median-ms")
			b.ReportMetric(float64(peer.Connections()), "connections")
		})
	}
}

// announcing is everywhere, with an MTA-STS record for each domain.
type announcing struct{ everywhere }

func (announcing) TXT(_ context.Context, name string) (dns.Answer[string], error) {
	return dns.Answer[string]{Records: []string{"v=STSv1; id=1"}, Name: name}, nil
}
