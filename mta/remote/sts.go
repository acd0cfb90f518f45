package remote

import (
	"bufio"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// STSMode is an MTA-STS policy's mode (RFC 8461 5).
type STSMode string

const (
	STSNone    STSMode = "none"
	STSTesting STSMode = "testing"
	STSEnforce STSMode = "enforce"
)

// STSPolicy is a domain's policy (RFC 8461 3.2).
type STSPolicy struct {
	Mode   STSMode
	MX     []string // host names, "*.example.org" for any one label
	MaxAge time.Duration
}

// maxSTSAge is the highest max_age, a year (RFC 8461 3.2).
const maxSTSAge = 31557600

var errSTS = errors.New("not an MTA-STS policy")

// parseSTSPolicy reads a policy file (RFC 8461 3.2). Unknown keys are passed over;
// of a key that stands twice the first counts, but mx, which may.
func parseSTSPolicy(text string) (STSPolicy, error) {
	var p STSPolicy
	seen := map[string]bool{}
	lines := bufio.NewScanner(strings.NewReader(text))
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		if line == "" {
			continue
		}
		key, value, ok := strings.Cut(line, ":")
		if !ok {
			return p, fmt.Errorf("%w: a line without a colon", errSTS)
		}
		key, value = strings.TrimSpace(key), strings.TrimSpace(value)
		if seen[key] && key != "mx" {
			continue
		}
		seen[key] = true
		if !p.set(key, value) {
			return p, fmt.Errorf("%w: %s %q", errSTS, key, value)
		}
	}
	if err := lines.Err(); err != nil {
		return p, fmt.Errorf("%w: %w", errSTS, err)
	}
	for _, key := range []string{"version", "mode", "max_age"} {
		if !seen[key] {
			return p, fmt.Errorf("%w: no %s", errSTS, key)
		}
	}
	if p.Mode != STSNone && len(p.MX) == 0 {
		return p, fmt.Errorf("%w: no mx", errSTS)
	}
	return p, nil
}

// set takes over one line of a policy file, and reports whether its value makes sense.
func (p *STSPolicy) set(key, value string) bool {
	switch key {
	case "version":
		return value == "STSv1"
	case "mode":
		p.Mode = STSMode(value)
		return p.Mode == STSNone || p.Mode == STSTesting || p.Mode == STSEnforce
	case "max_age": // at most ten digits
		n, err := strconv.ParseUint(value, 10, 64)
		p.MaxAge = time.Duration(min(n, maxSTSAge)) * time.Second
		return err == nil && len(value) <= 10
	case "mx":
		p.MX = append(p.MX, strings.ToLower(strings.TrimSuffix(value, ".")))
	}
	return true
}

// Matches reports whether a host from the MX records is one of the policy's (RFC
// 8461 4.1): a wildcard stands for exactly one label.
func (p STSPolicy) Matches(host string) bool {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	for _, pattern := range p.MX {
		if pattern == host {
			return true
		}
		if suffix, ok := strings.CutPrefix(pattern, "*."); ok {
			if label, rest, ok := strings.Cut(host, "."); ok && label != "" && rest == suffix {
				return true
			}
		}
	}
	return false
}

// refusal is the error of a host that the policy of a domain does not list, nil for the others.
func (p STSPolicy) refusal(domain, host string) error {
	if p.Matches(host) {
		return nil
	}
	return fmt.Errorf("the MTA-STS policy of %s does not list the server %s", domain, host)
}

// parseSTSRecords finds the id in the TXT records of _mta-sts.DOMAIN (RFC 8461
// 3.1). Not exactly one record of version STSv1: the domain has no MTA-STS.
func parseSTSRecords(records []string) (id string, ok bool) {
	found := 0
	for _, record := range records {
		fields := strings.Split(record, ";")
		if strings.TrimSpace(fields[0]) != "v=STSv1" {
			continue
		}
		found++
		for _, field := range fields[1:] {
			key, value, _ := strings.Cut(strings.TrimSpace(field), "=")
			if strings.TrimSpace(key) == "id" && id == "" {
				id = strings.TrimSpace(value)
			}
		}
	}
	if found != 1 || id == "" || len(id) > 32 {
		return "", false
	}
	for i := range len(id) {
		if c := id[i] | 0x20; !isDigit(id[i]) && (c < 'a' || c > 'z') {
			return "", false
		}
	}
	return id, true
}
