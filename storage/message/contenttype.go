package message

// parseContentType reads a Content-Type's value. An empty type means that it can't be
// read and the default holds (RFC 2045 5.2).
func parseContentType(s string) (typ, subtype string, params []Param) {
	l := lexer{s: s}
	l.cfws()
	typ = l.while(isTokenChar)
	l.cfws()
	if typ == "" || !l.skip('/') {
		return "", "", nil
	}
	l.cfws()
	subtype = l.while(isTokenChar)
	if subtype == "" {
		return "", "", nil
	}
	return typ, subtype, l.params()
}

func parseDisposition(s string) (disposition string, params []Param) {
	l := lexer{s: s}
	l.cfws()
	disposition = l.while(isTokenChar)
	if disposition == "" {
		return "", nil
	}
	return disposition, l.params()
}

// parseEncoding returns the one token of a Content-Transfer-Encoding in lower case,
// or nothing if there is none, or more than that. A semicolon, which some programs write as if
// parameters followed, ends it.
func parseEncoding(s string) string {
	l := lexer{s: s}
	l.cfws()
	token := l.while(isTokenChar)
	if l.cfws(); !l.end() && l.peek() != ';' {
		return ""
	}
	return lowerString(token)
}

// parseLanguage reads the tags of a Content-Language (RFC 3282).
func parseLanguage(s string) []string {
	var tags []string
	l := lexer{s: s}
	for l.cfws(); !l.end(); l.cfws() {
		if tag := l.while(isTokenChar); tag != "" {
			tags = append(tags, tag)
		} else {
			l.i++
		}
	}
	return tags
}

// params reads *(";" name "=" value). What is no parameter is passed over up to the
// next semicolon.
func (l *lexer) params() []Param {
	var params []Param
	for {
		for l.cfws(); !l.end() && l.peek() != ';'; l.cfws() {
			if l.peek() == '"' {
				l.quoted()
			} else {
				l.i++
			}
		}
		if !l.skip(';') {
			return joinContinuations(params)
		}
		l.cfws()
		name := l.while(isTokenChar)
		l.cfws()
		if name == "" || !l.skip('=') {
			continue
		}
		l.cfws()
		params = append(params, Param{name, l.paramValue()})
	}
}

// paramValue reads a token or a quoted-string. Values that should have been quoted,
// such as the encoded words some programs put here, are read up to the next blank
// or semicolon.
func (l *lexer) paramValue() string {
	if l.peek() == '"' {
		text, _ := l.quoted()
		return text
	}
	return l.while(func(c byte) bool { return c > ' ' && c != ';' && c != '"' && c != '(' && c != 0x7f })
}
