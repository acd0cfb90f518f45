package web

import (
	"context"
	"crypto/tls"
	"embed"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"text/template"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/net/netutil"

	"facteur/storage/message"
)

// Config of a Site. The zero value of a field means what its comment says.
type Config struct {
	Log      *slog.Logger
	Now      func() time.Time         // time.Now
	Hostname string                   // the mail server's name
	Hosted   func(domain string) bool // domain is ours, in any spelling
	Services []Service                // what mail programs may use, the best first
	// Policy is the MTA-STS policy of a hosted domain; nil, or false: none.
	Policy    func(domain string) (Policy, bool)
	Challenge func(http.Handler) http.Handler // answers ACME challenges; nil: none
	Ready     func(context.Context) error     // nil: always
	Metrics   prometheus.Gatherer             // nil: none
}

// Service is one way in for mail programs.
type Service struct {
	Protocol string // "imap", "pop3" or "smtp"
	Port     int
	STARTTLS bool // otherwise TLS from the first octet
}

// Site answers HTTP. It is safe for concurrent use.
type Site struct {
	cfg       Config
	templates *template.Template
	public    http.Handler
	plain     http.Handler
}

//go:embed templates
var templates embed.FS

// New returns a Site.
func New(cfg Config) (*Site, error) {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Challenge == nil {
		cfg.Challenge = func(next http.Handler) http.Handler { return next }
	}
	t, err := template.New("").Funcs(template.FuncMap{"x": escape}).ParseFS(templates, "templates/*")
	if err != nil {
		return nil, fmt.Errorf("web templates: %w", err)
	}
	s := &Site{cfg: cfg, templates: t}
	s.public = cfg.Challenge(s.guard(s.routes()))
	s.plain = cfg.Challenge(s.guard(http.HandlerFunc(s.redirect)))
	return s, nil
}

// Public is all of the site, for the HTTPS port, or the only port where there is no TLS.
func (s *Site) Public() http.Handler { return s.public }

// Plain is for the HTTP port beside an HTTPS one: ACME challenges, health, and a way to HTTPS.
func (s *Site) Plain() http.Handler { return s.plain }

// Metrics is for the operator's eyes.
func (s *Site) Metrics() http.Handler {
	if s.cfg.Metrics == nil {
		return http.NotFoundHandler()
	}
	return promhttp.HandlerFor(s.cfg.Metrics, promhttp.HandlerOpts{ErrorLog: slog.NewLogLogger(s.cfg.Log.Handler(), slog.LevelError)})
}

func (s *Site) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", s.root)
	mux.HandleFunc("GET /health", s.ready)
	mux.HandleFunc("GET /health/ready", s.ready)
	mux.HandleFunc("GET /health/live", s.live)
	mux.HandleFunc("GET /.well-known/mta-sts.txt", s.policy)
	mux.HandleFunc("GET /mail/config-v1.1.xml", s.autoconfig)
	mux.HandleFunc("GET /.well-known/autoconfig/mail/config-v1.1.xml", s.autoconfig)
	mux.HandleFunc("GET /mail/apple.mobileconfig", s.mobileconfig)
	// Outlook has been seen to ask with each of these.
	for _, path := range []string{"/autodiscover/autodiscover.xml", "/Autodiscover/Autodiscover.xml", "/AutoDiscover/AutoDiscover.xml"} {
		mux.HandleFunc("POST "+path, s.autodiscover)
	}
	return mux
}

// The limits of a request.
const (
	maxBody     = 64 << 10
	maxHeader   = 16 << 10
	maxConns    = 256
	readTime    = 15 * time.Second
	writeTime   = 15 * time.Second
	idleTime    = time.Minute
	readyTime   = 2 * time.Second
	drainTime   = 10 * time.Second
	maxNameSize = 320
)

// guard holds the door: limits, headers for browsers, and the names that we answer for.
func (s *Site) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Content-Security-Policy", "default-src 'none'; form-action 'self'; frame-ancestors 'none'")
		h.Set("Referrer-Policy", "no-referrer")
		if !s.ours(host(r)) {
			http.Error(w, "This server does not answer for that name.", http.StatusMisdirectedRequest)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// host is the name that was asked for, without its port.
func host(r *http.Request) string {
	name := r.Host
	if h, _, err := net.SplitHostPort(name); err == nil {
		name = h
	}
	return strings.ToLower(strings.TrimSuffix(strings.Trim(name, "[]"), "."))
}

// ours reports whether we answer for a name. Probes and the demo come by address.
func (s *Site) ours(name string) bool {
	if name == "" || len(name) > maxNameSize {
		return false
	}
	if _, err := netip.ParseAddr(name); err == nil || name == "localhost" || strings.EqualFold(name, s.cfg.Hostname) {
		return true
	}
	_, ok := s.domainOf(name)
	return ok
}

// domainOf is the hosted domain that a host name serves: itself, or the one behind a name by which programs
// look for their settings.
func (s *Site) domainOf(name string) (string, bool) {
	if s.cfg.Hosted(name) {
		return name, true
	}
	first, rest, _ := strings.Cut(name, ".")
	switch first {
	case "autoconfig", "autodiscover", "mta-sts", "mail", "www":
		return rest, s.cfg.Hosted(rest)
	}
	return "", false
}

// address reads the address a program asks for. ok is false when its domain isn't ours.
func (s *Site) address(text string) (a message.AddrSpec, domain string, ok bool) {
	a, err := message.ParseAddrSpec(strings.TrimSpace(text))
	if err != nil {
		return a, "", false
	}
	domain, err = a.ASCIIDomain()
	return a, domain, err == nil && s.cfg.Hosted(domain)
}

// redirect leads from HTTP to HTTPS, except where nobody follows.
func (s *Site) redirect(w http.ResponseWriter, r *http.Request) {
	switch {
	case strings.HasPrefix(r.URL.Path, "/health"):
		s.routes().ServeHTTP(w, r)
	case r.Method == http.MethodGet || r.Method == http.MethodHead:
		name := host(r)
		if strings.Contains(name, ":") {
			name = "[" + name + "]" // RFC 3986 3.2.2
		}
		http.Redirect(w, r, "https://"+name+r.URL.RequestURI(), http.StatusMovedPermanently)
	default:
		http.Error(w, "Please use HTTPS.", http.StatusForbidden)
	}
}

// Serve answers on a listener, under TLS when config isn't nil, until ctx ends, and then lets running requests finish.
func (s *Site) Serve(ctx context.Context, l net.Listener, config *tls.Config, h http.Handler) error {
	server := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: readTime,
		ReadTimeout:       readTime,
		WriteTimeout:      writeTime,
		IdleTimeout:       idleTime,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(s.cfg.Log.Handler(), slog.LevelDebug),
	}
	drained := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(drained)
		drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
		defer cancel()
		if err := server.Shutdown(drain); err != nil {
			server.Close()
		}
	})
	// TLS outermost: http.Server speaks the HTTP/2 that was agreed on only where it sees a *tls.Conn.
	l = netutil.LimitListener(l, maxConns)
	if config != nil {
		l = tls.NewListener(l, config)
	}
	err := server.Serve(l)
	if !stop() {
		<-drained // Serve returns when the draining begins
	}
	if !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve HTTP on %s: %w", l.Addr(), err)
	}
	return nil
}

// render writes a page made from a template.
func (s *Site) render(w http.ResponseWriter, contentType, name string, data any) {
	var b strings.Builder
	if err := s.templates.ExecuteTemplate(&b, name, data); err != nil {
		s.cfg.Log.Error("web page was not made", "page", name, "error", err)
		http.Error(w, "A fault on our side.", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", contentType)
	io.WriteString(w, b.String())
}

// escape is the "x" of the templates: text for XML and HTML.
func escape(v any) (string, error) {
	var b strings.Builder
	err := xml.EscapeText(&b, []byte(fmt.Sprint(v)))
	return b.String(), err
}
