package remote

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"time"
)

// FetchConfig of HTTPSFetch.
type FetchConfig struct {
	Resolver     Resolver
	Roots        *x509.CertPool // nil: those of the system
	Dial         DialFunc       // nil: the network
	Port         int            // 443
	AllowPrivate bool           // tests: fetch from loopback too
	Now          func() time.Time
}

// Bounds of a fetch (RFC 8461 3.3).
const (
	stsFetchTime = time.Minute
	stsFetchSize = 64 << 10
)

var errPrivate = errors.New("the address is not a public one")

// HTTPSFetch returns a FetchFunc that gets policies over verified HTTPS: the
// certificate must be mta-sts.DOMAIN's, redirects are not followed (RFC 8461 3.3),
// and private addresses are refused, so that no foreign DNS can point us at our
// own network.
func HTTPSFetch(cfg FetchConfig) FetchFunc {
	if cfg.Dial == nil {
		cfg.Dial = (&net.Dialer{Timeout: 30 * time.Second}).DialContext
	}
	if cfg.Port == 0 {
		cfg.Port = 443
	}
	client := &http.Client{
		Timeout:       stsFetchTime,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			Proxy:             nil,
			DisableKeepAlives: true,
			TLSClientConfig:   &tls.Config{RootCAs: cfg.Roots, MinVersion: tls.VersionTLS12, Time: cfg.Now},
			DialContext: func(ctx context.Context, _, address string) (net.Conn, error) {
				return cfg.dialPublic(ctx, address)
			},
		},
	}
	return func(ctx context.Context, domain string) (string, error) {
		return fetchPolicy(ctx, client, "https://"+joinPort("mta-sts."+domain, cfg.Port)+"/.well-known/mta-sts.txt")
	}
}

func fetchPolicy(ctx context.Context, client *http.Client, url string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	resp, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("fetch %s: %s", url, resp.Status)
	}
	if kind, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type")); err != nil || kind != "text/plain" {
		return "", fmt.Errorf("fetch %s: it is of type %q, not text/plain", url, kind)
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, stsFetchSize+1))
	if err == nil && len(text) > stsFetchSize {
		err = fmt.Errorf("fetch %s: over %d octets", url, stsFetchSize)
	}
	return string(text), err
}

// dialPublic connects to the first public address of the name that answers.
func (cfg FetchConfig) dialPublic(ctx context.Context, address string) (net.Conn, error) {
	name, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	four, err4 := cfg.Resolver.IPv4(ctx, name)
	six, err6 := cfg.Resolver.IPv6(ctx, name)
	addrs := append(append([]netip.Addr(nil), four.Records...), six.Records...)
	if len(addrs) == 0 {
		return nil, errors.Join(err4, err6)
	}
	var errs []error
	for _, a := range addrs[:min(len(addrs), maxAddresses)] {
		if !cfg.AllowPrivate && !public(a) {
			errs = append(errs, fmt.Errorf("%s: %w", a, errPrivate))
			continue
		}
		conn, err := cfg.Dial(ctx, "tcp", net.JoinHostPort(a.String(), port))
		if err == nil {
			return conn, nil
		}
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}

// sharedSpace is carrier-grade NAT (RFC 6598), private in all but name.
var sharedSpace = netip.MustParsePrefix("100.64.0.0/10")

func public(a netip.Addr) bool {
	a = a.Unmap()
	return a.IsGlobalUnicast() && !a.IsPrivate() && !sharedSpace.Contains(a)
}
