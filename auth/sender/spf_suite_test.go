package sender

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"gopkg.in/yaml.v3"

	"facteur/mta/dns"
)

// suiteDoc is one document of the test suite of RFC 7208.
type suiteDoc struct {
	Description string
	Tests       map[string]struct {
		Helo, Host, MailFrom string
		Result               any // a word, or the words that are all right
		Explanation          string
	}
	ZoneData map[string][]any
}

// TestSPFSuite runs the suite as it was published, over real DNS on loopback.
func TestSPFSuite(t *testing.T) {
	file, err := os.Open("testdata/spf/rfc7208-tests.yml")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	cases := 0
	for decoder := yaml.NewDecoder(file); ; {
		var doc suiteDoc
		if err := decoder.Decode(&doc); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		cases += len(doc.Tests)
		t.Run(doc.Description, func(t *testing.T) { runSuiteDoc(t, doc) })
	}
	if cases != 203 {
		t.Errorf("%d cases", cases)
	}
}

func runSuiteDoc(t *testing.T, doc suiteDoc) {
	resolver, err := dns.New(dns.Config{
		Servers: []netip.AddrPort{dns.TestServer(t, suiteZone(doc.ZoneData))},
		Timeout: 100 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range doc.Tests {
		t.Run(name, func(t *testing.T) {
			p := SPFParams{IP: netip.MustParseAddr(c.Host), Helo: c.Helo, Domain: c.Helo, Receiver: "receiver.example"}
			if at := strings.LastIndexByte(c.MailFrom, '@'); at >= 0 {
				p.Local, p.Domain = c.MailFrom[:at], c.MailFrom[at+1:]
			}
			got := CheckSPF(t.Context(), resolver, p)
			var want []string
			switch r := c.Result.(type) {
			case string:
				want = []string{r}
			case []any:
				for _, w := range r {
					want = append(want, w.(string))
				}
			}
			if !slices.Contains(want, got.Result) {
				t.Errorf("want %v, got %+v", want, got)
			}
			explanation := strings.TrimPrefix(c.Explanation, "DEFAULT")
			if got.Result == SPFFail && got.Explanation != explanation {
				t.Errorf("explained by %q, not %q", got.Explanation, explanation)
			}
		})
	}
}

// suiteZone writes the suite's zone data as a master file. A record of type SPF stands for one of type TXT,
// unless the name has a TXT record of its own; TIMEOUT is for all types that the name has no record of.
func suiteZone(data map[string][]any) string {
	var zone strings.Builder
	for name, records := range data {
		name = escapeOctets(name, ".-_")
		var spf, txt []string
		types := make(map[string]bool)
		timeout := false
		for _, rec := range records {
			if rec == "TIMEOUT" {
				timeout = true
				continue
			}
			for typ, value := range rec.(map[string]any) {
				types[typ] = true
				switch {
				case value == "NONE":
				case typ == "SPF":
					spf = append(spf, suiteStrings(value))
				case typ == "TXT":
					txt = append(txt, suiteStrings(value))
				case typ == "MX":
					mx := value.([]any)
					fmt.Fprintf(&zone, "%s. IN MX %v %s.\n", name, mx[0], escapeOctets(mx[1].(string), ".-_"))
				case typ == "PTR" || typ == "CNAME":
					fmt.Fprintf(&zone, "%s. IN %s %s.\n", name, typ, strings.TrimSuffix(value.(string), "."))
				default:
					fmt.Fprintf(&zone, "%s. IN %s %s\n", name, typ, value)
				}
			}
		}
		if !types["TXT"] {
			txt = spf
			types["TXT"] = len(spf) > 0
		}
		for _, text := range txt {
			fmt.Fprintf(&zone, "%s. IN TXT %s\n", name, text)
		}
		for _, typ := range []string{"A", "AAAA", "MX", "PTR", "TXT"} {
			if timeout && (!types[typ] || typ == "TXT" && len(txt) == 0) {
				fmt.Fprintf(&zone, ";! timeout %s %s\n", name, typ)
			}
		}
	}
	return zone.String()
}

// suiteStrings writes one string or a list of them as quoted strings.
func suiteStrings(value any) string {
	list, ok := value.([]any)
	if !ok {
		list = []any{value}
	}
	if len(list) == 0 {
		return `""`
	}
	var out strings.Builder
	for _, s := range list {
		text := s.(string)
		for len(text) > 255 {
			fmt.Fprintf(&out, ` "%s"`, escapeOctets(text[:255], ""))
			text = text[255:]
		}
		fmt.Fprintf(&out, ` "%s"`, escapeOctets(text, ""))
	}
	return out.String()
}

// escapeOctets writes all but letters, digits and those in plain as \DDD.
func escapeOctets(s, plain string) string {
	var out strings.Builder
	for i := 0; i < len(s); i++ {
		if c := s[i]; isAlpha(c) || isDigit(c) || strings.IndexByte(plain, c) >= 0 {
			out.WriteByte(c)
		} else {
			fmt.Fprintf(&out, `\%03d`, c)
		}
	}
	return out.String()
}
