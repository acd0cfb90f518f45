package mta

import (
	"errors"
	"testing"
)

func TestNotify(t *testing.T) {
	for _, c := range []struct {
		n                       Notify
		text                    string
		success, failure, delay bool
	}{
		{0, "", false, true, true},
		{NotifyNever, "NEVER", false, false, false},
		{NotifySuccess, "SUCCESS", true, false, false},
		{NotifySuccess | NotifyFailure | NotifyDelay, "SUCCESS,FAILURE,DELAY", true, true, true},
	} {
		if c.n.String() != c.text || c.n.Wants(NotifySuccess) != c.success || c.n.Wants(NotifyFailure) != c.failure || c.n.Wants(NotifyDelay) != c.delay {
			t.Errorf("%d: %q %v %v %v", c.n, c.n, c.n.Wants(NotifySuccess), c.n.Wants(NotifyFailure), c.n.Wants(NotifyDelay))
		}
	}
}

func TestReply(t *testing.T) {
	cause := errors.New("disk on fire")
	r := TempFail(cause)
	if !errors.Is(r, cause) || !r.Temporary() || r.Permanent() || r.Positive() || r.Status() != "4.3.0" {
		t.Errorf("%+v", r)
	}
	if got, want := r.Error(), "451 4.3.0 A fault on our side, please try again later: disk on fire"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got := NewReply(354, [3]int{}, "go %s", "on").Error(); got != "354 go on" {
		t.Errorf("%q", got)
	}
}

func TestNewID(t *testing.T) {
	seen := map[ID]bool{}
	for range 1000 {
		id := NewID()
		if len(id) != 16 || seen[id] {
			t.Fatalf("%q", id)
		}
		seen[id] = true
	}
}
