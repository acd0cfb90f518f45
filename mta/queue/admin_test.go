package queue

import (
	"strings"
	"testing"
)

// TestFilterByRecipient: a part of an address is taken literally, and looked for in addresses only.
func TestFilterByRecipient(t *testing.T) {
	q := open(t, t.TempDir(), testConfig(t, map[string]Transport{"*": &peer{}}))
	defer q.Close()
	for _, to := range []string{"a_b@x.test", "aXb@x.test", "100%@x.test", "r&d@x.test", "Carol@y.test"} {
		m := newMail("", to)
		m.Env.To[0].ORCPT = "rfc822;orig@old.test"
		add(t, q, m)
	}
	for part, want := range map[string]string{
		"a_b@x.test": "a_b@x.test", "%": "100%@x.test", "r&d@": "r&d@x.test", "carol@Y": "Carol@y.test", "b@x.test": "a_b@x.test aXb@x.test",
		"orig": "", "rfc822": "", `"`: "",
	} {
		items, err := q.List(t.Context(), Filter{Recipient: part})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, it := range items {
			got = append(got, it.Recipients...)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%q: %q, want %q", part, got, want)
		}
	}
}
