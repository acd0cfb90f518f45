package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"regexp"
	"slices"
	"strings"

	"github.com/emersion/go-msgauth/dkim"
	"github.com/emersion/go-msgauth/dmarc"

	"facteur/admin"
	"facteur/mta/dns"
)

// readByAnother tries the published DMARC policy and signing keys with go-msgauth, which shares no code with our own
// reader: what it can't use, others may not be able to use either, whatever a comparison of texts says.
func readByAnother(ctx context.Context, r *dns.Resolver, list []published, sample admin.Sample) error {
	signed, err := checkSample(ctx, r, sample)
	if err != nil {
		return fmt.Errorf("check a signed sample: %w", err)
	}
	for i := range list {
		p := &list[i]
		if p.Type != "TXT" || len(p.Found) == 0 {
			continue // nothing to read
		}
		name := strings.TrimSuffix(p.Name, ".")
		if domain, ok := strings.CutPrefix(name, "_dmarc."); ok {
			_, err := dmarc.LookupWithOptions(domain, &dmarc.LookupOptions{LookupTXT: txtOf(ctx, r)})
			p.readerSays(err, dmarc.IsTempFail(err))
		} else if err, ok := signed[name]; ok {
			p.readerSays(err, dkim.IsTempFail(err))
		}
	}
	return nil
}

// readerSays notes the other reader's verdict. A look-up that failed is none.
func (p *published) readerSays(err error, temporary bool) {
	switch {
	case temporary:
	case err != nil:
		p.Reader = "fail: " + err.Error()
		if p.State == recordOK || p.State == recordOwn {
			p.State = recordBroken
		}
	default:
		p.Reader = "pass"
		if p.State == recordDiffers && len(p.Found) == 1 {
			p.State = recordOwn // the same key in other words
		}
	}
}

// checkSample lets go-msgauth check the sample's signatures by the keys in DNS. It returns the verdict for each key by
// the name of its record.
func checkSample(ctx context.Context, r *dns.Resolver, sample admin.Sample) (map[string]error, error) {
	if len(sample.Message) == 0 {
		return nil, nil // no key signs
	}
	verdicts, err := dkim.VerifyWithOptions(bytes.NewReader(sample.Message), &dkim.VerifyOptions{LookupTXT: txtOf(ctx, r)})
	if err != nil {
		return nil, err
	}
	// A verdict does not tell its selector; they come in the order of the signatures.
	selectors := regexp.MustCompile(`(?m)^\ts=([^;\s]+);`).FindAllSubmatch(sample.Message, -1)
	if len(selectors) != len(verdicts) {
		return nil, fmt.Errorf("%d signatures have %d selectors", len(verdicts), len(selectors))
	}
	signed := make(map[string]error)
	for i, v := range verdicts {
		signed[string(selectors[i][1])+"._domainkey."+v.Domain] = v.Err
	}
	return signed, nil
}

// txtOf looks TXT records up with our resolver, with errors of the kind that go-msgauth understands.
func txtOf(ctx context.Context, r *dns.Resolver) func(string) ([]string, error) {
	return func(name string) ([]string, error) {
		answer, err := r.TXT(ctx, name)
		if err != nil {
			return nil, &net.DNSError{Err: err.Error(), Name: name, IsNotFound: dns.IsNotFound(err), IsTemporary: dns.IsTemporary(err)}
		}
		return slices.Clone(answer.Records), nil
	}
}
