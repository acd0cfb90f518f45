package auth

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"strings"
)

// scramExchange is the server's side of SCRAM-SHA-256 and SCRAM-SHA-256-PLUS (RFC 5802, 7677):
//
//	client-first  n,,n=alice@example.org,r=NONCE
//	server-first  r=NONCE+OURS,s=SALT,i=15000
//	client-final  c=biws,r=NONCE+OURS,p=PROOF
//	server-final  v=SIGNATURE                    and the client answers with nothing
//
// All secrets of an account share its salt, so that an app password works here as well: the
// proof is compared with each of them.
type scramExchange struct {
	d    *Directory
	c    Client
	plus bool // the mechanism's name said -PLUS

	asked       bool // for client-first, because the command had no initial response
	step        int
	gs2Header   string
	binding     []byte // what c= must hold after the gs2 header
	user        string
	clientBare  string // client-first-message-bare
	serverFirst string
	nonce       string
	login       func() (*Login, error)
}

// scramMaxMessage bounds what a client may send: a binding is 32 octets, a name 320.
const scramMaxMessage = 2048

func (x *scramExchange) Next(_ context.Context, response []byte) ([]byte, *Login, error) {
	if len(response) > scramMaxMessage {
		return nil, nil, fmt.Errorf("%w: SCRAM message too long", ErrMalformed)
	}
	if response == nil && x.step == 0 && !x.asked {
		x.asked = true
		return []byte{}, nil, nil // the client speaks first (RFC 5802 5)
	}
	x.step++
	switch x.step {
	case 1:
		return x.first(string(response))
	case 2:
		return x.final(string(response))
	case 3:
		if len(response) != 0 {
			return nil, nil, fmt.Errorf("%w: data after the end of SCRAM", ErrMalformed)
		}
		login, err := x.login()
		return nil, login, err
	}
	return nil, nil, fmt.Errorf("%w: SCRAM has ended", ErrMalformed)
}

// first takes client-first-message (RFC 5802 7).
func (x *scramExchange) first(msg string) ([]byte, *Login, error) {
	header, bare, err := splitGS2(msg)
	if err != nil {
		return nil, nil, err
	}
	if err := x.bind(header.flag); err != nil {
		return nil, nil, err
	}
	user, nonce, err := parseClientFirst(bare)
	if err != nil {
		return nil, nil, err
	}
	if header.authzid != "" && !x.d.sameUser(header.authzid, user) {
		return nil, nil, ErrCredentials // nobody acts for another here
	}
	x.gs2Header, x.clientBare, x.user = header.text, bare, prepare(user)
	if x.d.throttled(x.c, x.user) {
		return nil, nil, ErrThrottled
	}
	x.nonce = nonce + rand.Text()
	x.serverFirst = fmt.Sprintf("r=%s,s=%s,i=%d", x.nonce,
		base64.StdEncoding.EncodeToString(x.d.scramSalt(x.user)), scramIterations)
	return []byte(x.serverFirst), nil, nil
}

// bind looks at the channel binding that the client wants (RFC 5802 6): "n" has none, "y" has
// but thinks that we don't, "p=TYPE" uses one.
func (x *scramExchange) bind(flag string) error {
	kind, bound := strings.CutPrefix(flag, "p=")
	switch {
	case bound != x.plus:
		return fmt.Errorf("%w: channel binding does not fit the mechanism", ErrMalformed)
	case flag == "y" && x.d.cfg.Plus && x.c.TLS != nil:
		// Somebody removed -PLUS from what we offered.
		return fmt.Errorf("%w: the client was not shown SCRAM-SHA-256-PLUS", ErrMalformed)
	case !bound:
		return nil
	}
	binding, err := x.d.channelBinding(kind, x.c.TLS)
	x.binding = binding
	return err
}

// final takes client-final-message.
func (x *scramExchange) final(msg string) ([]byte, *Login, error) {
	withoutProof, proof, err := x.parseFinal(msg)
	if err != nil {
		return nil, nil, err
	}
	signed := []byte(x.clientBare + "," + x.serverFirst + "," + withoutProof)
	keys, login, err := x.d.checkProof(x.c, x.user, func(k scramKeys) bool { return k.proves(proof, signed) })
	if err != nil {
		return nil, nil, err
	}
	x.login = login
	v := base64.StdEncoding.EncodeToString(hmacSHA256(keys.server[:], signed))
	return []byte("v=" + v), nil, nil
}

// proves checks a ClientProof: ClientKey XOR HMAC(StoredKey, AuthMessage), with StoredKey the
// hash of ClientKey (RFC 5802 3).
func (k scramKeys) proves(proof, signed []byte) bool {
	clientKey := make([]byte, sha256.Size)
	subtle.XORBytes(clientKey, proof, hmacSHA256(k.stored[:], signed))
	stored := sha256.Sum256(clientKey)
	return subtle.ConstantTimeCompare(stored[:], k.stored[:]) == 1
}

// parseFinal checks binding and nonce, and returns what was signed and the proof.
func (x *scramExchange) parseFinal(msg string) (withoutProof string, proof []byte, err error) {
	i := strings.LastIndex(msg, ",p=")
	if i < 0 {
		return "", nil, fmt.Errorf("%w: SCRAM without a proof", ErrMalformed)
	}
	withoutProof = msg[:i]
	proof, err = base64.StdEncoding.DecodeString(msg[i+3:])
	if err != nil || len(proof) != sha256.Size {
		return "", nil, fmt.Errorf("%w: SCRAM proof", ErrMalformed)
	}
	attrs := strings.Split(withoutProof, ",")
	if len(attrs) < 2 || !strings.HasPrefix(attrs[0], "c=") || attrs[1] != "r="+x.nonce {
		return "", nil, fmt.Errorf("%w: SCRAM nonce or binding", ErrMalformed)
	}
	cbind, err := base64.StdEncoding.DecodeString(attrs[0][2:])
	if err != nil || !bytes.Equal(cbind, append([]byte(x.gs2Header), x.binding...)) {
		return "", nil, fmt.Errorf("%w: SCRAM channel binding", ErrMalformed)
	}
	return withoutProof, proof, nil
}

type gs2Header struct{ text, flag, authzid string }

// splitGS2 takes the gs2-header off client-first-message: "n,a=authzid,".
func splitGS2(msg string) (gs2Header, string, error) {
	f := strings.SplitN(msg, ",", 3)
	if len(f) != 3 || f[0] != "n" && f[0] != "y" && (!strings.HasPrefix(f[0], "p=") || len(f[0]) < 3) {
		return gs2Header{}, "", fmt.Errorf("%w: SCRAM gs2 header", ErrMalformed)
	}
	h := gs2Header{text: f[0] + "," + f[1] + ",", flag: f[0]}
	if f[1] != "" {
		name, ok := strings.CutPrefix(f[1], "a=")
		authzid, err := decodeSaslname(name)
		if !ok || err != nil {
			return gs2Header{}, "", fmt.Errorf("%w: SCRAM authorization identity", ErrMalformed)
		}
		h.authzid = authzid
	}
	return h, f[2], nil
}

// parseClientFirst reads client-first-message-bare. An "m=" in front is an extension that we
// must not pass over (RFC 5802 5.1), so it fails as anything unknown does.
func parseClientFirst(bare string) (user, nonce string, err error) {
	attrs := strings.Split(bare, ",")
	if len(attrs) < 2 {
		return "", "", fmt.Errorf("%w: SCRAM first message", ErrMalformed)
	}
	name, nameOK := strings.CutPrefix(attrs[0], "n=")
	nonce, nonceOK := strings.CutPrefix(attrs[1], "r=")
	if !nameOK || !nonceOK || nonce == "" || !isPrintableASCII(nonce) {
		return "", "", fmt.Errorf("%w: SCRAM name or nonce", ErrMalformed)
	}
	user, err = decodeSaslname(name)
	return user, nonce, err
}

// decodeSaslname undoes "=2C" and "=3D" (RFC 5802 5.1).
func decodeSaslname(s string) (string, error) {
	bare := strings.ReplaceAll(strings.ReplaceAll(s, "=2C", ""), "=3D", "")
	if s == "" || strings.Contains(bare, "=") {
		return "", fmt.Errorf("%w: SCRAM name", ErrMalformed)
	}
	return strings.NewReplacer("=2C", ",", "=3D", "=").Replace(s), nil
}

// channelBinding returns the data that ties a login to its TLS connection.
func (d *Directory) channelBinding(kind string, state *tls.ConnectionState) ([]byte, error) {
	if state == nil {
		return nil, fmt.Errorf("%w: channel binding without TLS", ErrMalformed)
	}
	switch {
	case kind == "tls-exporter": // RFC 9266 2
		b, err := state.ExportKeyingMaterial("EXPORTER-Channel-Binding", nil, 32)
		if err != nil { // TLS 1.2 without the extended master secret
			return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
		}
		return b, nil
	case kind == "tls-server-end-point" && d.cfg.Leaf != nil:
		if leaf := d.cfg.Leaf(state.ServerName); leaf != nil {
			return endPointHash(leaf), nil
		}
	}
	return nil, fmt.Errorf("%w: channel binding %q", ErrMalformed, kind)
}

// endPointHash is the certificate's hash by its own signature's hash function, SHA-256 where
// that is weaker or has none (RFC 5929 4.1).
func endPointHash(leaf *x509.Certificate) []byte {
	switch leaf.SignatureAlgorithm {
	case x509.SHA384WithRSA, x509.ECDSAWithSHA384, x509.SHA384WithRSAPSS:
		sum := sha512.Sum384(leaf.Raw)
		return sum[:]
	case x509.SHA512WithRSA, x509.ECDSAWithSHA512, x509.SHA512WithRSAPSS:
		sum := sha512.Sum512(leaf.Raw)
		return sum[:]
	}
	sum := sha256.Sum256(leaf.Raw)
	return sum[:]
}
