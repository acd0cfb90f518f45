package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"facteur/admin"
)

// demo runs "facteur demo" in this process until the test ends, and returns its folder and what it
// printed.
func demo(t *testing.T, args ...string) (dir, text string) {
	t.Helper()
	dir = shortDir(t)
	ctx, cancel := context.WithCancel(context.Background())
	out, errOut := &lockedBuffer{}, &lockedBuffer{}
	ended := make(chan int, 1)
	go func() {
		ended <- run(ctx, append([]string{"demo", "--dir", dir, "--shift", fmt.Sprint(freeShift(t))}, args...), bytes.NewReader(nil), out, errOut)
	}()
	t.Cleanup(func() {
		cancel()
		if code := <-ended; code != exitOK || t.Failed() {
			t.Errorf("the demo ended with %d:\n%s", code, errOut)
		}
	})
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if strings.Contains(errOut.String(), "msg=ready") {
			return dir, out.String()
		}
	}
	t.Fatalf("the demo is not ready:\n%s%s", out, errOut)
	return "", ""
}

// What the demo prints to be copied and pasted is copied and pasted.
func TestDemoExampleWorks(t *testing.T) {
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("curl is not installed; make test as root installs it")
	}
	_, text := demo(t)
	lines := regexp.MustCompile(`(?m)^(curl|FACTEUR_PASSWORD=|/\S+ send) ?.*$`).FindAllString(text, -1)
	if len(lines) != 4 {
		t.Fatalf("%d commands in\n%s", len(lines), text)
	}
	var said strings.Builder
	for _, line := range lines {
		cmd := exec.Command("sh", "-c", line)
		cmd.Env = append(os.Environ(), "FACTEUR_TEST_MAIN=1") // the printed program is this test binary
		out, err := cmd.CombinedOutput()
		if strings.Contains(line, "/Sink") && err != nil { // the queue may take a moment
			for deadline := time.Now().Add(20 * time.Second); err != nil && time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
				out, err = exec.Command("sh", "-c", line).CombinedOutput()
			}
		}
		if err != nil {
			t.Fatalf("%s: %v\n%s", line, err, out)
		}
		said.Write(out)
	}
	for _, want := range []string{"C: MAIL FROM:<carol@elsewhere.test>", "Delivered-To: bob@demo.test", "Queued as", "Delivered-To: carol@elsewhere.test", "a=rsa-sha256", "a=ed25519-sha256"} {
		if !strings.Contains(said.String(), want) {
			t.Errorf("%q is missing in\n%s", want, said.String())
		}
	}
}

// A demo on the folder of a server that runs is refused before it writes anything there.
func TestDemoLeavesALockedFolderAlone(t *testing.T) {
	dir := t.TempDir()
	lock, err := admin.TakeLock(dir, "facteur serve")
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Release()
	if out := facteur(t, exitBusy, "demo", "--dir", dir, "--shift", fmt.Sprint(freeShift(t))); !strings.Contains(out, "held by facteur serve, process ") {
		t.Errorf("the demo said %s", out)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 || entries[0].Name() != "lock" {
		t.Errorf("the folder holds %v, %v", entries, err)
	}
}

func TestDemoAnswersItsOperator(t *testing.T) {
	dir, _ := demo(t)
	client, err := admin.Dial(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	status, err := client.Status(t.Context(), admin.None{})
	if err != nil || !status.Running || status.Hostname != "mail.demo.test" {
		t.Fatalf("%+v, %v", status, err)
	}
	records, err := client.DomainRecords(t.Context(), admin.Name{Name: "demo.test"})
	if err != nil || len(records) == 0 {
		t.Errorf("records: %v, %v", records, err)
	}
}
