package loopback

import "strings"

// Fits matches a line with a pattern in which * stands for any text.
func Fits(pattern, line string) bool {
	head, rest, star := strings.Cut(pattern, "*")
	if !star {
		return pattern == line
	}
	if !strings.HasPrefix(line, head) {
		return false
	}
	line = line[len(head):]
	for i := 0; i <= len(line); i++ {
		if Fits(rest, line[i:]) {
			return true
		}
	}
	return false
}
