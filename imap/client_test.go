package imap

import (
	"io"
	"slices"
	"testing"
	"time"

	goimap "github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
)

// must returns a result, or ends the test.
func must[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// TestIndependentClient has somebody else's client live a day with the engine: it parses
// every response, which our own tests only look at.
func TestIndependentClient(t *testing.T) {
	h := newHouse(t, nil)
	exists := make(chan uint32, 10)
	c := must[*imapclient.Client](t)(imapclient.DialInsecure(h.addr, &imapclient.Options{
		UnilateralDataHandler: &imapclient.UnilateralDataHandler{Mailbox: func(data *imapclient.UnilateralDataMailbox) {
			if data.NumMessages != nil {
				exists <- *data.NumMessages
			}
		}},
	}))
	defer c.Close()
	if err := c.Login(alice, "secret").Wait(); err != nil {
		t.Fatal(err)
	}
	for _, want := range []goimap.Cap{goimap.CapIMAP4rev2, goimap.CapCondStore, goimap.CapQResync, goimap.CapMove, goimap.CapESearch} {
		if !c.Caps().Has(want) {
			t.Errorf("capability %s is missing", want)
		}
	}
	if err := c.Create("Work/Plans", nil).Wait(); err != nil {
		t.Fatal(err)
	}
	text := "From: Ann <ann@example.org>\r\nSubject: plan\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nlet us begin\r\n"
	for range 3 {
		up := c.Append("Work/Plans", int64(len(text)), &goimap.AppendOptions{Flags: []goimap.Flag{goimap.FlagFlagged}, Time: time.Unix(1e9, 0)})
		must[int](t)(io.WriteString(up, text))
		if err := up.Close(); err != nil {
			t.Fatal(err)
		}
		if data := must[*goimap.AppendData](t)(up.Wait()); data.UID == 0 {
			t.Error("APPEND without APPENDUID")
		}
	}
	list := must[[]*goimap.ListData](t)(c.List("", "*", &goimap.ListOptions{ReturnStatus: &goimap.StatusOptions{NumMessages: true, UIDNext: true}}).Collect())
	at := slices.IndexFunc(list, func(l *goimap.ListData) bool { return l.Mailbox == "Work/Plans" })
	if at < 0 || list[at].Status == nil || *list[at].Status.NumMessages != 3 {
		t.Errorf("LIST-STATUS: %+v", list)
	}
	selected := must[*goimap.SelectData](t)(c.Select("Work/Plans", &goimap.SelectOptions{CondStore: true}).Wait())
	if selected.NumMessages != 3 || selected.HighestModSeq == 0 {
		t.Errorf("SELECT: %+v", selected)
	}
	checkFetch(t, c, text)
	checkSearch(t, c)

	moved := must[*imapclient.MoveData](t)(c.Move(goimap.UIDSetNum(1), "Archive").Wait())
	if moved.UIDValidity == 0 {
		t.Errorf("MOVE: %+v", moved)
	}
	must[[]*imapclient.FetchMessageBuffer](t)(c.Store(goimap.SeqSetNum(1), &goimap.StoreFlags{Op: goimap.StoreFlagsAdd, Flags: []goimap.Flag{goimap.FlagDeleted}}, nil).Collect())
	if gone := must[[]uint32](t)(c.Expunge().Collect()); !slices.Equal(gone, []uint32{1}) {
		t.Errorf("EXPUNGE: %v", gone)
	}
	idle := must[*imapclient.IdleCommand](t)(c.Idle())
	for len(exists) > 0 {
		<-exists
	}
	h.deliver("Work/Plans", text)
	select {
	case n := <-exists:
		if n != 2 {
			t.Errorf("IDLE: %d messages", n)
		}
	case <-time.After(10 * time.Second):
		t.Error("IDLE tells nothing of a delivery")
	}
	if err := idle.Close(); err != nil {
		t.Error(err)
	}
	if err := c.Logout().Wait(); err != nil {
		t.Error(err)
	}
}

func checkFetch(t *testing.T, c *imapclient.Client, text string) {
	t.Helper()
	section := &goimap.FetchItemBodySection{Peek: true}
	msgs := must[[]*imapclient.FetchMessageBuffer](t)(c.Fetch(goimap.SeqSetNum(1, 2, 3), &goimap.FetchOptions{
		Envelope: true, Flags: true, InternalDate: true, RFC822Size: true, UID: true, ModSeq: true,
		BodyStructure: &goimap.FetchItemBodyStructure{Extended: true}, BodySection: []*goimap.FetchItemBodySection{section},
	}).Collect())
	if len(msgs) != 3 {
		t.Fatalf("FETCH: %d messages", len(msgs))
	}
	m := msgs[2]
	if m.UID != 3 || m.Envelope.Subject != "plan" || m.Envelope.From[0].Addr() != "ann@example.org" || m.RFC822Size != int64(len(text)) ||
		m.BodyStructure.MediaType() != "text/plain" || m.InternalDate.Unix() != 1e9 || string(m.FindBodySection(section)) != text || m.ModSeq == 0 {
		t.Errorf("FETCH: %+v", m)
	}
}

func checkSearch(t *testing.T, c *imapclient.Client) {
	t.Helper()
	found := must[*goimap.SearchData](t)(c.UIDSearch(&goimap.SearchCriteria{Body: []string{"begin"}, Flag: []goimap.Flag{goimap.FlagFlagged}},
		&goimap.SearchOptions{ReturnAll: true, ReturnCount: true}).Wait())
	if found.Count != 3 || !slices.Equal(found.AllUIDs(), []goimap.UID{1, 2, 3}) {
		t.Errorf("SEARCH: %+v", found)
	}
	order := must[[]uint32](t)(c.Sort(&imapclient.SortOptions{
		SearchCriteria: &goimap.SearchCriteria{}, SortCriteria: []imapclient.SortCriterion{{Key: imapclient.SortKeyArrival, Reverse: true}},
	}).Wait())
	if len(order) != 3 {
		t.Errorf("SORT: %v", order)
	}
	threads := must[[]imapclient.ThreadData](t)(c.Thread(&imapclient.ThreadOptions{Algorithm: goimap.ThreadReferences, SearchCriteria: &goimap.SearchCriteria{}}).Wait())
	if len(threads) == 0 {
		t.Error("THREAD: no threads")
	}
}
