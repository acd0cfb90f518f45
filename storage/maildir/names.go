package maildir

import (
	"errors"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Limits of mailbox names. All levels together are one folder's name, which no file
// system lets be longer than 255 octets.
const (
	MaxLevels = 50
	MaxFolder = 255
)

// Errors of EncodeName, DecodeName and EncodeAccount.
var (
	ErrName    = errors.New("not a mailbox name")
	ErrTooLong = errors.New("mailbox name is too long or too deep")
)

// Inbox is the one mailbox that lies in the account's folder itself.
const Inbox = "INBOX"

// CleanName checks a mailbox name and writes its first level INBOX in capitals, in
// which case doesn't matter (RFC 9051 5.1).
func CleanName(name string) (string, error) {
	if name == "" || !utf8.ValidString(name) {
		return "", ErrName
	}
	levels := 0
	for level := range strings.SplitSeq(name, "/") {
		levels++
		if level == "" || strings.ContainsFunc(level, unicode.IsControl) {
			return "", ErrName
		}
		if len(level) > MaxFolder {
			return "", ErrTooLong
		}
	}
	if levels > MaxLevels {
		return "", ErrTooLong
	}
	first, rest, deep := strings.Cut(name, "/")
	if strings.EqualFold(first, Inbox) {
		first = Inbox
	}
	if deep {
		return first + "/" + rest, nil
	}
	return first, nil
}

// EncodeName returns the Maildir++ folder of a mailbox: ".Archive.2026" for
// "Archive/2026", "" for INBOX. Names are equal exactly when their folders are.
func EncodeName(name string) (string, error) {
	name, err := CleanName(name)
	if err != nil || name == Inbox {
		return "", err
	}
	b := make([]byte, 0, len(name)+8)
	for level := range strings.SplitSeq(name, "/") {
		b = append(b, '.')
		b = appendUTF7(b, level)
	}
	if len(b) > MaxFolder {
		return "", ErrTooLong
	}
	return string(b), nil
}

// DecodeName is the way back. A folder that EncodeName never writes, say with raw
// 8-bit octets in it, gives an error.
func DecodeName(folder string) (string, error) {
	if folder == "" {
		return Inbox, nil
	}
	if folder[0] != '.' {
		return "", ErrName
	}
	levels := strings.Split(folder[1:], ".")
	for i, level := range levels {
		text, err := decodeUTF7(level)
		if err != nil {
			return "", err
		}
		levels[i] = text
	}
	name := strings.Join(levels, "/")
	if back, err := EncodeName(name); err != nil || back != folder {
		return "", ErrName
	}
	return name, nil
}

// EncodeAccount returns the folder of the account "local@domain": "domain/local". Octets
// that have a meaning in paths are written as %XX.
func EncodeAccount(account string) (string, error) {
	at := strings.LastIndexByte(account, '@')
	if at <= 0 || at == len(account)-1 {
		return "", ErrName
	}
	domain, local := escape(account[at+1:]), escape(account[:at])
	if len(domain) > MaxFolder || len(local) > MaxFolder {
		return "", ErrTooLong
	}
	return domain + "/" + local, nil
}

// DecodeAccount is the way back from the two folders.
func DecodeAccount(domain, local string) (string, error) {
	d, err1 := unescape(domain)
	l, err2 := unescape(local)
	if err1 != nil || err2 != nil || d == "" || l == "" {
		return "", ErrName
	}
	account := l + "@" + d
	if back, err := EncodeAccount(account); err != nil || back != domain+"/"+local {
		return "", ErrName
	}
	return account, nil
}

const hexDigits = "0123456789ABCDEF"

func escape(s string) string {
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '/' || c == '%' || c == '\\' || c < ' ' || c == 0x7f || c == '.' && i == 0:
			b = append(b, '%', hexDigits[c>>4], hexDigits[c&15])
		default:
			b = append(b, c)
		}
	}
	return string(b)
}

func unescape(s string) (string, error) {
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] != '%' {
			b = append(b, s[i])
			continue
		}
		if i+2 >= len(s) {
			return "", ErrName
		}
		hi, lo := strings.IndexByte(hexDigits, s[i+1]), strings.IndexByte(hexDigits, s[i+2])
		if hi < 0 || lo < 0 {
			return "", ErrName
		}
		b = append(b, byte(hi<<4|lo))
		i += 2
	}
	return string(b), nil
}
