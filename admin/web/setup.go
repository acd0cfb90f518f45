package web

import (
	"crypto/sha256"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// settings is what the templates are made from.
type settings struct {
	Domain, Hostname string
	Address          string
	In, Out          []Service
	Services         []Service
	Time             string
}

func (s *Site) settingsFor(domain, address string) settings {
	d := settings{Domain: domain, Hostname: s.cfg.Hostname, Address: address, Services: s.cfg.Services}
	for _, sv := range s.cfg.Services {
		if sv.Protocol == "smtp" {
			d.Out = append(d.Out, sv)
		} else {
			d.In = append(d.In, sv)
		}
	}
	return d
}

// root is the page for a person who looks at the server.
func (s *Site) root(w http.ResponseWriter, r *http.Request) {
	domain, ok := s.domainOf(host(r))
	if !ok {
		domain = s.cfg.Hostname
	}
	s.render(w, "text/html; charset=utf-8", "root.html", s.settingsFor(domain, ""))
}

// autoconfig answers Thunderbird and others: at autoconfig.DOMAIN/mail/, or DOMAIN/.well-known/autoconfig/mail/.
func (s *Site) autoconfig(w http.ResponseWriter, r *http.Request) {
	domain, ok := s.domainOf(host(r))
	if asked := r.FormValue("emailaddress"); asked != "" {
		_, domain, ok = s.address(asked)
	}
	if !ok {
		http.NotFound(w, r)
		return
	}
	s.render(w, "text/xml; charset=utf-8", "autoconfig.xml", s.settingsFor(domain, ""))
}

// mobileconfig makes a profile for Apple's programs; they ask for the password themselves.
func (s *Site) mobileconfig(w http.ResponseWriter, r *http.Request) {
	a, domain, ok := s.address(r.FormValue("email"))
	if !ok {
		http.NotFound(w, r)
		return
	}
	d := s.settingsFor(domain, a.String())
	d.In, d.Out = d.In[:min(len(d.In), 1)], d.Out[:min(len(d.Out), 1)] // a profile holds one of each
	w.Header().Set("Content-Disposition", `attachment; filename="mail.mobileconfig"`)
	s.render(w, "application/x-apple-aspen-config", "apple.mobileconfig", d)
}

// ID is a UUID that stays the same for an address, so that a profile replaces the one before (RFC 9562 5.8).
func (d settings) ID(what string) string {
	b := sha256.Sum256([]byte(what + "\x00" + d.Hostname + "\x00" + d.Address))
	b[6], b[8] = b[6]&0x0f|0x80, b[8]&0x3f|0x80
	return fmt.Sprintf("%X-%X-%X-%X-%X", b[:4], b[4:6], b[6:8], b[8:10], b[10:16])
}

// autodiscoverRequest is what Outlook posts.
type autodiscoverRequest struct {
	Request struct {
		EMailAddress             string
		AcceptableResponseSchema string
	}
}

const outlookSchema = "http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a"

// autodiscover answers Outlook (MS-OXDSCLI 2.2.3 and 2.2.4).
func (s *Site) autodiscover(w http.ResponseWriter, r *http.Request) {
	var req autodiscoverRequest
	err := xml.NewDecoder(r.Body).Decode(&req)
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		http.Error(w, "The request is too large.", http.StatusRequestEntityTooLarge)
		return
	}
	io.Copy(io.Discard, r.Body)
	a, domain, ok := s.address(req.Request.EMailAddress)
	if schema := req.Request.AcceptableResponseSchema; err != nil || !ok || schema != "" && schema != outlookSchema {
		d := settings{Time: s.cfg.Now().UTC().Format(time.TimeOnly)}
		s.render(w, "text/xml; charset=utf-8", "autodiscover-error.xml", d)
		return
	}
	s.render(w, "text/xml; charset=utf-8", "autodiscover.xml", s.settingsFor(domain, a.String()))
}
