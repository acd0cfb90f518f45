package differential

import (
	"encoding/base64"
	"fmt"
	"strings"
)

// content is the Content fields and the body of a part.
func (m *maker) content(depth int) (fields []string, body string) {
	if m.chance(10) && depth > 0 {
		return nil, m.text()
	}
	kind := m.IntN(10)
	switch {
	case kind < 5 && depth < 4:
		param, boundary := m.boundary()
		fields = append(fields, m.contentType(m.one("multipart/mixed", "multipart/alternative", "multipart/digest", "Multipart/Related", "multipart/signed", "multipart/x", "multipart"), param))
		body = m.multipart(boundary, depth)
	case kind < 6 && depth < 4:
		fields = append(fields, m.contentType(m.one("message/rfc822", "message/rfc822", "Message/RFC822", "message/global", "message/external-body", "message/partial", "message/delivery-status"), ""))
		body = m.message(depth + 1)
	default:
		fields = append(fields, m.contentType(m.one("text/plain", "text/plain", "text/html", "TEXT/Plain", "text/x", "image/png", "application/octet-stream", "text", "text/", "/plain", "x/y z", "", "application/pgp-signature", "text/plain/x", "te(c)xt/plain", "text /plain", "text/ plain", "(c)text/plain"), ""))
		body = m.text()
	}
	if m.chance(2) {
		encoding := m.one("7bit", "8bit", "binary", "base64", "quoted-printable", "base64", "quoted-printable", "BASE64", "Quoted-Printable", "x-uuencode", "base64 (c)", "(c) base64", "base64;", "base-64", "", "\"base64\"", "base64 x")
		fields = append(fields, m.fieldName("Content-Transfer-Encoding")+encoding)
		body = m.encode(encoding, body)
	}
	if m.chance(4) {
		fields = append(fields, m.fieldName("Content-Disposition")+m.fold(m.disposition()))
	}
	if m.chance(4) {
		fields = append(fields, m.field())
	}
	if m.chance(15) {
		fields = append(fields, m.contentType(m.one("text/plain", "text/html", "multipart/mixed"), ""))
	}
	return fields, body
}

func (m *maker) disposition() string {
	return m.one("attachment", "inline", "Attachment", "", "att achment", "(c)inline", "\"attachment\"", "form-data", "x;y") + m.some(3, m.param)
}

// contentType has the parameter first among others, in front of them or behind.
func (m *maker) contentType(typ, param string) string {
	before, after := m.some(2, m.param), m.some(2, m.param)
	return m.fieldName("Content-Type") + m.fold(typ+before+param+after)
}

// param is a parameter with its semicolon.
func (m *maker) param() string {
	name := m.one("charset", "name", "filename", "charset", "format", "x", "NAME", "boundary2")
	switch m.IntN(6) {
	case 0, 1: // RFC 2231
		parts := []string{}
		for i := range 1 + m.IntN(3) {
			star := m.one("", "*")
			value := m.one("a", `"b c"`, "%C3%BC", "d%", "%4", `"%41"`, "'", "")
			if i == 0 && star != "" {
				value = m.one("utf-8''", "utf-8'en'", "''", "iso-8859-1''", "x", "utf-8'") + value
			}
			index := m.one(fmt.Sprint(i), fmt.Sprint(i), fmt.Sprint(i), "0"+fmt.Sprint(i), fmt.Sprint(i+1), "", "x", "-1")
			parts = append(parts, "; "+name+"*"+index+star+"="+value)
		}
		if m.chance(3) {
			m.Shuffle(len(parts), func(i, j int) { parts[i], parts[j] = parts[j], parts[i] })
		}
		if m.chance(4) {
			parts = append(parts, "; "+name+"=plain")
		}
		return strings.Join(parts, "")
	}
	if !m.chance(3) {
		return "; " + name + "=" + m.one("utf-8", "iso-8859-1", "us-ascii", `"utf-8"`, `"a b"`, `"a\"b"`, "flowed", "a.b", `"a;b"`, "koi8-r (c)", `"Ã¼"`)
	}
	value := m.one("utf-8", "iso-8859-1", "us-ascii", `"utf-8"`, "UTF-8", "x-unknown", `"a b"`, "a b", `"a\"b"`, `"a\`, `"open`, "", `""`, "a(c)", "(c)a", "=?utf-8?q?x?=", "\"=?utf-8?q?x y?=\"", "\xc3\xbc", "\xfc", "a/b", "a=b", "<a>", "flowed", "'utf-8'", "a.b", `"a;b"`, "a\tb", "koi8-r", "utf-16", "gb18030", `a"b"`, `"a"b`, "a@b", "a,b", "[a]", "a?b")
	return m.one("; ", "; ", "; ", ";", " ; ", ";;", "; (c) ", " ", "; ; ", ";\t") + name + m.one("=", "=", "=", "=", " = ", "= ", " =", "", "==", "(c)=", "=(c)") + value
}

// boundary gives the parameter that names a boundary, and the boundary.
func (m *maker) boundary() (param, boundary string) {
	boundary = m.one("b", "bb", "b", "b1", "B", "b c", "=_b", "b'()+_,-./:=?b", "--b", "b--", "-", "b ", "\xc3\xbc", strings.Repeat("x", 70), strings.Repeat("x", 75), strings.Repeat("x", 90), "x", "b.b", "b\tb", "a\\b")
	quoted := `"` + strings.ReplaceAll(boundary, `\`, `\\`) + `"`
	switch {
	case m.chance(20):
		return "", boundary
	case m.chance(20):
		return m.one("; boundary", "; boundary=", `; boundary=""`, "; boundary=\"b", "; boundary=c; boundary=b", "; boundary*=utf-8''b", "; boundary*0=b; boundary*1=b", "; boundary=b(c)", "; boundary=(c)b", "; BOUNDARY=b", " boundary=b", "; boundary=b x", "; boundary=b,", "; boundary=\" b\"", "; boundary=\"b \""), boundary
	case isToken(boundary) && m.chance(2):
		return "; boundary=" + boundary, boundary
	}
	return m.one("; boundary=", "; boundary=", ";boundary=", "; Boundary = ", "; BOUNDARY=") + quoted, boundary
}

func isToken(s string) bool { return !strings.ContainsAny(s, " \t'()<>@,;:\\\"/[]?=") }

func (m *maker) multipart(boundary string, depth int) string {
	var out strings.Builder
	out.WriteString(m.one("", "", "", "preamble\r\n", "\r\n", "This is\r\n\r\na preamble\r\n", "--\r\n", "--"+boundary+"x\r\n", "no line end --"+boundary))
	for range m.IntN(4) {
		out.WriteString(m.line(boundary, ""))
		switch {
		case m.chance(12):
			continue
		case m.chance(8):
			out.WriteString(m.text())
		default:
			content, body := m.content(depth + 1)
			if m.chance(6) {
				content = append(content, m.field())
			}
			out.WriteString(m.lines(content) + m.separator() + body)
		}
		if !m.chance(8) {
			out.WriteString("\r\n")
		}
	}
	if !m.chance(6) {
		out.WriteString(m.line(boundary, "--"))
	}
	out.WriteString(m.one("", "", "", "epilogue", "epilogue\r\n", "\r\n", "\r\n\r\n", "--"+boundary+"\r\n\r\nlate\r\n", "--"+boundary+"--\r\n"))
	return out.String()
}

// line is a boundary line, most often as it should be.
func (m *maker) line(boundary, end string) string {
	if m.chance(10) {
		boundary = m.one(strings.ToUpper(boundary), boundary+"x", boundary[:len(boundary)-1], boundary+" ", boundary+boundary, " "+boundary, boundary+"-", boundary+" x", boundary+"--x")
	}
	return m.one("--", "--", "--", "--", "--", "--", "--", "--", "--", "-", " --", "---", "\r\n--") + boundary + end + m.one("\r\n", "\r\n", "\r\n", "\r\n", "\r\n", "\r\n", " \r\n", "\t \r\n", "", " \r\n\r\n")
}

// text is lines of a body.
func (m *maker) text() string {
	return m.some(6, func() string {
		return m.one("the text\r\n", "one line", "two words\r\n", "\r\n", "", "--\r\n", "-- \r\nsig\r\n", "> quoted\r\n", "gr\xc3\xbc\xc3\x9fe\r\n", "caf\xe9 latin\r\n", "<p>a<b>b</b> &amp; c</p>\r\n", "line=20end=\r\n", "=C3=BC\r\n", "dG4gYmFzZTY0\r\n", ".\r\n", "..\r\n", "From x\r\n", strings.Repeat("long ", 300)+"\r\n", "a\tb\r\n", "tab \t\r\n", "\rcr\r\n", "Subject: not a field\r\n", "--b\r\n", "--b--\r\n", "x: y\r\n", "inner\r\n", "naïve\r\n")
	})
}

// encode gives the body in that encoding, or cut off or with junk in it, or not encoded at all.
func (m *maker) encode(encoding, body string) string {
	if m.chance(4) {
		return body
	}
	switch strings.ToLower(encoding) {
	case "base64", "base64 (c)", "(c) base64":
		var out strings.Builder
		code := base64.StdEncoding.EncodeToString([]byte(body))
		for len(code) > 0 {
			n := min(len(code), 4*(1+m.IntN(19))+m.IntN(9)/8) // once in a while no multiple of 4
			out.WriteString(code[:n] + "\r\n")
			code = code[n:]
		}
		body = out.String()
		if m.chance(3) {
			body = m.one(body+"=", strings.TrimRight(body, "=\r\n"), body+"!junk!\r\n", "  "+body, body+body, body+"\r\n\r\n", "-"+body, body[:len(body)*2/3], strings.ReplaceAll(body, "\r\n", " \r\n"), body+"====\r\nQUJD\r\n", body+"QQ==\r\nQUJD\r\n", body+"Q\r\n")
		}
	case "quoted-printable":
		var out strings.Builder
		for i := range len(body) {
			switch c := body[i]; {
			case c == '=' || c >= 0x80 || c != '\r' && c != '\n' && m.chance(12):
				fmt.Fprintf(&out, m.one("=%02X", "=%02X", "=%02X", "=%02x"), c)
			default:
				out.WriteByte(c)
			}
			if m.chance(30) {
				out.WriteString("=\r\n")
			}
		}
		body = out.String()
		if m.chance(3) {
			body += m.one("=", "=\r\n", "=4", "=XY\r\n", "= \r\n", "= x\r\n", "a \t\r\n", "==41\r\n", "=0D=0A", "=\r\n=\r\n", "a=\t \r\nb\r\n", "=\rx\r\n", " ")
		}
	}
	return body
}
