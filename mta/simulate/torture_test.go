package simulate_test

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"facteur/mta"
	"facteur/mta/dns"
	"facteur/mta/queue"
	"facteur/mta/remote"
	"facteur/mta/simulate"
	"facteur/storage/sqlite"
)

// The torture: a child process queues messages to many destinations and delivers
// them to a peer in this process, a tenth of them to recipients that fail in all the
// ways a Peer knows or to servers that are not there. The child is killed with -9 on
// the way and started again. In the end every message has been delivered, or its
// sender has a report, and nothing happened twice but what was in the air at a kill.
//
// FACTEUR_TORTURE sets the number of messages (20000 for the full one).

const (
	childEnv     = "FACTEUR_TORTURE_CHILD" // "DIR PORT MESSAGES"
	tortureKills = 5
	maxInAir     = 50
)

func TestMain(m *testing.M) {
	if args := strings.Fields(os.Getenv(childEnv)); len(args) == 3 {
		port, _ := strconv.Atoi(args[1])
		messages, _ := strconv.Atoi(args[2])
		if err := tortureChild(args[0], port, messages); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// tortureMail is message n: who it is for, and whether it can be delivered.
func tortureMail(n, messages int) (to string, fails bool) {
	domain := n % max(messages/10, 1)
	if domain%10 != 0 {
		return fmt.Sprintf("u%d@d%d.test", n, domain), false
	}
	kinds := []string{"550", "452", "timeout", "drop", "drop-after-data", "421", "554", "unreachable", "slow"}
	kind := kinds[domain/10%len(kinds)]
	if kind == "unreachable" {
		return fmt.Sprintf("u%d@d%d.dead.test", n, domain), true
	}
	return fmt.Sprintf("%s+%d@d%d.test", kind, n, domain), kind != "slow"
}

// deadOrAlive is everywhere, but for domains below dead.test, whose servers are on an
// address where nobody listens.
type deadOrAlive struct{ everywhere }

func (d deadOrAlive) IPv4(ctx context.Context, name string) (dns.Answer[netip.Addr], error) {
	a, err := d.everywhere.IPv4(ctx, name)
	if strings.HasSuffix(name, ".dead.test") {
		a.Records = []netip.Addr{netip.MustParseAddr("127.0.0.2")}
	}
	return a, err
}

func tortureChild(dir string, port, messages int) error {
	second := time.Second
	s := remote.New(remote.Config{Resolver: deadOrAlive{}, Hello: "home.test", Port: port,
		Timeouts: remote.Timeouts{Connect: second, Greeting: 5 * second, Command: second / 4, DataInit: second, Block: second, DataEnd: second}})
	q, err := queue.Open(dir, queue.Config{Log: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError})),
		Hostname: "home.test", Postmaster: addr("postmaster@home.test"), MaxActive: maxInAir, MaxPause: 50 * time.Millisecond,
		Schedule: queue.Schedule{First: second, Max: 2 * second, Delay: time.Hour, GiveUp: 6 * second},
		Route:    func(domain string) queue.Route { return queue.Route{Transport: s, Key: domain} }})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- q.Run(ctx) }()
	if err := tortureAdd(ctx, q, messages); err != nil {
		return err
	}
	fmt.Println("added")
	for {
		stats, err := q.Stats(ctx)
		if err != nil {
			return err
		}
		if stats.Jobs == 0 {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	cancel()
	if err := <-done; err != nil {
		return err
	}
	if err := q.Close(); err != nil {
		return err
	}
	fmt.Println("done")
	return nil
}

// tortureAdd queues every message that no child before has queued, from 8 sides.
func tortureAdd(ctx context.Context, q *queue.Queue, messages int) error {
	numbers := make(chan int)
	errs := make(chan error, 8)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for n := range numbers {
				to, _ := tortureMail(n, messages)
				m := mail(fmt.Sprintf("s%d@home.test", n), []byte("Subject: torture\r\n\r\n"+strings.Repeat("x\r\n", 300)), to)
				m.ID = mta.ID(fmt.Sprintf("m%d", n))
				if _, err := q.Show(ctx, m.ID); err == nil {
					continue // it was queued, only its acknowledgement was lost
				}
				if err := q.Add(ctx, m); err != nil && !sqlite.IsConstraint(err) {
					errs <- err
				}
			}
		})
	}
	for n := range messages {
		numbers <- n
	}
	close(numbers)
	wg.Wait()
	select {
	case err := <-errs:
		return err
	default:
		return nil
	}
}

func TestTortureWithKills(t *testing.T) {
	messages := 1500
	if s := os.Getenv("FACTEUR_TORTURE"); s != "" {
		messages, _ = strconv.Atoi(s)
	}
	var mu sync.Mutex
	got := map[string]int{}
	total := 0
	peer := &simulate.Peer{Name: "mx.test", Delay: 100 * time.Millisecond, Take: func(m simulate.Mail) error {
		mu.Lock()
		defer mu.Unlock()
		for _, to := range m.To {
			got[to]++
			total++
		}
		return nil
	}}
	port := listen(t, peer)
	dir := t.TempDir()
	good := 0
	for n := range messages {
		if _, fails := tortureMail(n, messages); !fails {
			good++
		}
	}
	// Each kill waits for another part of the good ones to have arrived.
	for kill := range tortureKills {
		want := good * (kill + 1) / (tortureKills + 2)
		runChild(t, dir, port, messages, func() bool {
			mu.Lock()
			defer mu.Unlock()
			return total >= want
		})
	}
	runChild(t, dir, port, messages, nil)

	twice, wrong := 0, 0
	for n := range messages {
		to, fails := tortureMail(n, messages)
		report := got[fmt.Sprintf("s%d@home.test", n)]
		mail := got[to]
		if fails && (mail != 0 || report < 1) || !fails && (mail < 1 || report != 0) {
			if wrong++; wrong < 20 {
				t.Errorf("message %d to %s: delivered %d times, %d reports", n, to, mail, report)
			}
		}
		twice += max(0, mail+report-1)
	}
	t.Logf("%d messages, %d destinations, %d wrong, %d twice, %d connections", messages, messages/10, wrong, twice, peer.Connections())
	if limit := tortureKills * maxInAir; twice > limit {
		t.Errorf("%d doubled, more than %d kills with %d in the air explain", twice, tortureKills, maxInAir)
	}
}

// runChild runs the child until enough says so and kills it, or with enough nil, or
// when there is nothing left to kill, until it is done.
func runChild(t *testing.T, dir string, port, messages int, enough func() bool) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^$")
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s %d %d", childEnv, dir, port, messages))
	cmd.Stderr = t.Output()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	finished := make(chan bool, 1)
	go func() {
		last := ""
		for lines := bufio.NewScanner(out); lines.Scan(); {
			last = lines.Text()
		}
		finished <- last == "done"
	}()
	deadline := time.After(2*time.Minute + time.Duration(messages)*10*time.Millisecond)
	for enough == nil || !enough() {
		select {
		case ok := <-finished:
			if err := cmd.Wait(); err != nil || !ok {
				t.Fatalf("child ended early: %v", err)
			}
			return
		case <-deadline:
			cmd.Process.Kill()
			t.Fatal("child is not getting on")
		case <-time.After(2 * time.Millisecond):
		}
	}
	time.Sleep(time.Duration(rand.IntN(20)) * time.Millisecond) // not always at the same step
	cmd.Process.Kill()
	<-finished
	cmd.Wait() // "signal: killed"
}
