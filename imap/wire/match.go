package wire

// Match reports whether a mailbox name matches a LIST pattern: "*" matches
// anything, "%" anything but the separator (RFC 9051 6.3.9). All places in the
// pattern that may have been reached are followed at once, so that no pattern
// makes it slow.
func Match(pattern, name string, sep byte) bool {
	at := make([]bool, len(pattern)+1)
	at[0] = true
	skipWildcards(pattern, at)
	for i := 0; i < len(name); i++ {
		if !step(pattern, at, name[i], sep) {
			return false
		}
	}
	return at[len(pattern)]
}

// step moves all places over the octet c, and reports whether any is left.
func step(pattern string, at []bool, c, sep byte) bool {
	alive := false
	at[len(pattern)] = false
	for p := len(pattern) - 1; p >= 0; p-- {
		if !at[p] {
			continue
		}
		switch pattern[p] {
		case '*': // stays
		case '%':
			at[p] = c != sep
		default:
			at[p] = false
			at[p+1] = at[p+1] || pattern[p] == c
		}
	}
	skipWildcards(pattern, at)
	for _, a := range at {
		alive = alive || a
	}
	return alive
}

// skipWildcards lets wildcards match nothing.
func skipWildcards(pattern string, at []bool) {
	for p := range len(pattern) {
		if at[p] && (pattern[p] == '*' || pattern[p] == '%') {
			at[p+1] = true
		}
	}
}
