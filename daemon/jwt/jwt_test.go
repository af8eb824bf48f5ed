package jwt_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/codestory/codestoryd/daemon/jwt"
	"github.com/codestory/codestoryd/internal/problem"
)

const (
	issuer   = "https://id.example"
	audience = "codestoryd"
)

func noProblems() *problem.Set { return problem.NewSet(slog.New(slog.DiscardHandler)) }

type claims map[string]any

// valid are the claims of a token that is let in, changed by those given; one that is changed to nil is left out.
func valid(changed claims) claims {
	c := claims{"iss": issuer, "aud": audience, "sub": "ada", "exp": time.Now().Add(time.Hour).Unix()}
	maps.Copy(c, changed)
	maps.DeleteFunc(c, func(_ string, v any) bool { return v == nil })
	return c
}

// service is another house that signs tokens.
type service struct {
	t    *testing.T
	rsa  *rsa.PrivateKey
	ec   *ecdsa.PrivateKey
	ed   ed25519.PrivateKey
	keys string // its JWK set, in a file
}

func newService(t *testing.T) *service {
	t.Helper()
	s := &service{t: t, keys: filepath.Join(t.TempDir(), "jwks.json")}
	var errs [3]error
	s.rsa, errs[0] = rsa.GenerateKey(rand.Reader, 2048)
	s.ec, errs[1] = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	_, s.ed, errs[2] = ed25519.GenerateKey(rand.Reader)
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
	s.publish(jwk("r", s.rsa.Public()), jwk("e", s.ec.Public()), jwk("d", s.ed.Public()))
	return s
}

func jwk(id string, public any) jose.JSONWebKey { return jose.JSONWebKey{Key: public, KeyID: id} }

func (s *service) publish(keys ...jose.JSONWebKey) {
	s.t.Helper()
	b, err := json.Marshal(jose.JSONWebKeySet{Keys: keys})
	if err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(s.keys, b, 0o600); err != nil {
		s.t.Fatal(err)
	}
}

func (s *service) verifier() *jwt.Verifier {
	s.t.Helper()
	v, err := jwt.New(s.keys, issuer, audience, noProblems())
	if err != nil {
		s.t.Fatal(err)
	}
	return v
}

// sign makes a token with a library that is not the one under test's own path: header and payload are put together here.
func (s *service) sign(header claims, payload any) string {
	s.t.Helper()
	text := s.unsigned(header, payload)
	sum := sha256.Sum256([]byte(text))
	var signature []byte
	var err error
	switch header["alg"] {
	case "RS256":
		signature, err = rsa.SignPKCS1v15(rand.Reader, s.rsa, crypto.SHA256, sum[:])
	case "PS256":
		signature, err = rsa.SignPSS(rand.Reader, s.rsa, crypto.SHA256, sum[:], nil)
	case "ES256":
		r, q, signErr := ecdsa.Sign(rand.Reader, s.ec, sum[:])
		if err = signErr; err == nil {
			signature = append(r.FillBytes(make([]byte, 32)), q.FillBytes(make([]byte, 32))...)
		}
	case "EdDSA":
		signature = ed25519.Sign(s.ed, []byte(text))
	}
	if err != nil {
		s.t.Fatal(err)
	}
	return text + "." + base64.RawURLEncoding.EncodeToString(signature)
}

func (s *service) unsigned(header claims, payload any) string {
	s.t.Helper()
	h, err := json.Marshal(header)
	if err != nil {
		s.t.Fatal(err)
	}
	p, isText := payload.(string)
	if !isText {
		b, err := json.Marshal(payload)
		if err != nil {
			s.t.Fatal(err)
		}
		p = string(b)
	}
	return base64.RawURLEncoding.EncodeToString(h) + "." + base64.RawURLEncoding.EncodeToString([]byte(p))
}

// withHMAC is a token whose signature is an HMAC.
func (s *service) withHMAC(kid string, secret []byte) string {
	text := s.unsigned(claims{"alg": "HS256", "kid": kid}, valid(nil))
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(text))
	return text + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

func TestValidTokens(t *testing.T) {
	t.Parallel()
	s := newService(t)
	v := s.verifier()
	for name, token := range map[string]string{
		"RS256":               s.sign(claims{"alg": "RS256", "kid": "r", "typ": "JWT"}, valid(nil)),
		"ES256":               s.sign(claims{"alg": "ES256", "kid": "e"}, valid(nil)),
		"EdDSA":               s.sign(claims{"alg": "EdDSA", "kid": "d", "typ": "at+jwt"}, valid(nil)),
		"no key id, one fits": s.sign(claims{"alg": "RS256"}, valid(nil)),
		"several audiences":   s.sign(claims{"alg": "RS256", "kid": "r"}, valid(claims{"aud": []string{"x", audience}})),
		"just ended":          s.sign(claims{"alg": "RS256", "kid": "r"}, valid(claims{"exp": time.Now().Add(-10 * time.Second).Unix()})),
		"begins in a moment":  s.sign(claims{"alg": "RS256", "kid": "r"}, valid(claims{"nbf": time.Now().Add(10 * time.Second).Unix()})),
		"other claims":        s.sign(claims{"alg": "RS256", "kid": "r"}, valid(claims{"scope": "manage", "x": []any{1}})),
	} {
		if user, err := v.Subject(t.Context(), token); user != "ada" || err != nil || !jwt.Resembles(token) {
			t.Errorf("%s: got %q, %v", name, user, err)
		}
	}
}

func TestInvalidTokens(t *testing.T) {
	t.Parallel()
	s, other := newService(t), newService(t)
	_, second, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	secret := []byte("a secret that two sides share....")
	encryption, mistaken := jwk("enc", s.rsa.Public()), jwk("mistaken", s.rsa.Public())
	encryption.Use, mistaken.Algorithm = "enc", "PS256"
	s.publish(jwk("r", s.rsa.Public()), jwk("e", s.ec.Public()), jwk("d", s.ed.Public()), jwk("d2", second.Public()),
		jwk("weak", weak.Public()), jwk("shared", secret), encryption, mistaken)
	v := s.verifier()

	der, err := x509.MarshalPKIXPublicKey(s.rsa.Public())
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(jwk("r", s.rsa.Public()))
	if err != nil {
		t.Fatal(err)
	}
	rs := claims{"alg": "RS256", "kid": "r"}
	good := s.sign(rs, valid(nil))
	head, rest, _ := strings.Cut(good, ".")
	payload, signature, _ := strings.Cut(rest, ".")
	with := func(changed claims) string { return s.sign(rs, valid(changed)) }
	header := func(changed claims) string {
		h := maps.Clone(rs)
		maps.Copy(h, changed)
		return s.sign(h, valid(nil))
	}
	for name, token := range map[string]string{
		"empty": "", "dots": "..", "one part": head, "text": "a.b.c",
		"no signature": head + "." + payload + ".", "signature cut": good[:len(good)-2], "more parts": good + ".x",
		"a space": good + " ", "padding": good + "=", "a line break": good + "\n", "a line break inside": good[:9] + "\r\n" + good[9:],
		"other payload":            head + "." + base64.RawURLEncoding.EncodeToString([]byte(`{"sub":"eve"}`)) + "." + signature,
		"other service, same id":   other.sign(rs, valid(nil)),
		"none":                     s.unsigned(claims{"alg": "none", "kid": "r"}, valid(nil)) + ".",
		"None":                     s.unsigned(claims{"alg": "None", "kid": "r"}, valid(nil)) + "." + signature,
		"no algorithm":             s.unsigned(claims{"kid": "r"}, valid(nil)) + "." + signature,
		"HMAC with the modulus":    s.withHMAC("r", s.rsa.N.Bytes()),
		"HMAC with the DER":        s.withHMAC("r", der),
		"HMAC with the PEM":        s.withHMAC("r", pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})),
		"HMAC with the JWK":        s.withHMAC("r", text),
		"HMAC with a shared key":   s.withHMAC("shared", secret),
		"HMAC with nothing":        s.withHMAC("", nil),
		"PS256":                    s.sign(claims{"alg": "PS256", "kid": "r"}, valid(nil)),
		"PS256 by its key":         s.sign(claims{"alg": "PS256", "kid": "mistaken"}, valid(nil)),
		"RS256 by a PS256 key":     header(claims{"kid": "mistaken"}),
		"key for encryption":       header(claims{"kid": "enc"}),
		"other algorithm, same id": s.sign(claims{"alg": "ES256", "kid": "r"}, valid(nil)),
		"weak key":                 (&service{t: t, rsa: weak}).sign(claims{"alg": "RS256", "kid": "weak"}, valid(nil)),
		"unknown key":              header(claims{"kid": "q"}),
		"key id of another case":   header(claims{"kid": "R"}),
		"key id is a number":       header(claims{"kid": 1}),
		"no key id, two fit":       s.sign(claims{"alg": "EdDSA"}, valid(nil)),
		"brings its own key":       other.sign(claims{"alg": "RS256", "jwk": json.RawMessage(text)}, valid(nil)),
		"critical extension":       header(claims{"crit": []string{"exp"}, "exp": 1}),
		"empty critical list":      header(claims{"crit": []string{}}),
		"critical null":            header(claims{"crit": nil}),
		"expired":                  with(claims{"exp": time.Now().Add(-time.Minute).Unix()}),
		"no end":                   with(claims{"exp": nil}),
		"end is null":              s.sign(rs, `{"iss":"`+issuer+`","aud":"`+audience+`","sub":"ada","exp":null}`),
		"end is a text":            with(claims{"exp": "4102444800"}),
		"end is not a time":        with(claims{"exp": 1e300}),
		"not yet":                  with(claims{"nbf": time.Now().Add(time.Minute).Unix()}),
		"issued in the future":     with(claims{"iat": time.Now().Add(time.Minute).Unix()}),
		"other issuer":             with(claims{"iss": issuer + "/"}),
		"no issuer":                with(claims{"iss": nil}),
		"other audience":           with(claims{"aud": "codestory"}),
		"no audience":              with(claims{"aud": nil}),
		"empty audience":           with(claims{"aud": []string{}}),
		"no user":                  with(claims{"sub": nil}),
		"empty user":               with(claims{"sub": ""}),
		"user is a number":         with(claims{"sub": 1}),
		"user is null":             s.sign(rs, `{"iss":"`+issuer+`","aud":"`+audience+`","sub":null,"exp":4102444800}`),
		"no object":                s.sign(rs, `"ada"`),
		"user in another case":     s.sign(rs, `{"iss":"`+issuer+`","aud":"`+audience+`","SUB":"ada","exp":4102444800}`),
		"user twice":               s.sign(rs, `{"iss":"`+issuer+`","aud":"`+audience+`","sub":"eve","sub":"ada","exp":4102444800}`),
		"begins in four minutes":   with(claims{"nbf": time.Now().Add(4 * time.Minute).Unix()}),
		"too long":                 with(claims{"x": strings.Repeat("x", 20<<10)}),
		"JSON":                     `{"payload":"` + payload + `","protected":"` + head + `","signature":"` + signature + `"}`,
	} {
		if user, err := v.Subject(t.Context(), token); user != "" || err == nil {
			t.Errorf("%s: got %q, %v", name, user, err)
		} else if signature != "" && strings.Contains(err.Error(), signature) {
			t.Errorf("%s: the error has the token in it: %v", name, err)
		}
	}
	if user, err := v.Subject(t.Context(), good); user != "ada" || err != nil {
		t.Errorf("the token beside them: %q, %v", user, err)
	}
}

func TestSettingsThatLetTooManyIn(t *testing.T) {
	t.Parallel()
	s := newService(t)
	private := filepath.Join(t.TempDir(), "private.json")
	b, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: s.rsa, KeyID: "r"}}})
	if err != nil {
		t.Fatal(err)
	}
	none, noSet := filepath.Join(t.TempDir(), "none.json"), filepath.Join(t.TempDir(), "text.json")
	for file, content := range map[string]string{private: string(b), none: `{"keys":[{"kty":"oct","k":"c2VjcmV0"}]}`, noSet: "keys"} {
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range [][3]string{
		{s.keys, "", audience}, {s.keys, issuer, ""}, {"absent.json", issuer, audience}, {private, issuer, audience},
		{none, issuer, audience}, {noSet, issuer, audience}, {"http://id.example/jwks", issuer, audience},
		{"ftp://id.example/jwks", issuer, audience}, {"https://u:p@id.example/jwks", issuer, audience}, {"https:///jwks", issuer, audience},
		{"http://127.0.0.1.id.example/jwks", issuer, audience}, {"http://localhost.id.example/jwks", issuer, audience},
	} {
		if _, err := jwt.New(c[0], c[1], c[2], noProblems()); err == nil {
			t.Errorf("%q was taken", c)
		}
	}
	for _, place := range []string{"https://id.example/jwks", "http://127.0.0.1:1/jwks", "http://localhost:1/jwks", "http://[::1]:1/jwks"} {
		if _, err := jwt.New(place, issuer, audience, noProblems()); err != nil {
			t.Errorf("%s: %v", place, err)
		}
	}
}

// Keys from a URL: it is asked when they are needed, and answers what a JWK set is.
func TestKeysFromURL(t *testing.T) {
	t.Parallel()
	s := newService(t)
	var answer atomic.Value
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { answer.Load().(http.HandlerFunc)(w, r) }))
	t.Cleanup(srv.Close)
	set, err := os.ReadFile(s.keys)
	if err != nil {
		t.Fatal(err)
	}
	token := s.sign(claims{"alg": "ES256", "kid": "e"}, valid(nil))
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		says   string // the problem; "" is none
	}{
		"a set":    {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(set) }, ""},
		"an error": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) }, "answers 500"},
		"a redirect": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/elsewhere", http.StatusFound)
		}, "redirects"},
		"no end": {func(w http.ResponseWriter, _ *http.Request) {
			for range 40 {
				_, _ = w.Write(make([]byte, 64<<10))
			}
		}, "more than"},
		"a page": {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) }, "not a JWK set"},
	} {
		answer.Store(c.answer)
		problems := noProblems()
		v, err := jwt.New(srv.URL+"/?code=hush", issuer, audience, problems)
		if err != nil {
			t.Fatal(err)
		}
		user, err := v.Subject(t.Context(), token)
		if c.says == "" {
			if user != "ada" || err != nil || len(problems.List()) > 0 {
				t.Errorf("%s: got %q, %v, %v", name, user, err, problems.List())
			}
			continue
		}
		if p := problems.List(); err == nil || len(p) != 1 || p[0].Code != "jwt_keys" || !strings.Contains(p[0].Message, c.says) ||
			strings.Contains(p[0].Message, "hush") {
			t.Errorf("%s: got %v, %v", name, err, p)
		}
	}
}

// Whatever is brought: it is the token that was signed, or nobody's.
func FuzzSubject(f *testing.F) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		f.Fatal(err)
	}
	set, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{jwk("d", private.Public())}})
	if err != nil {
		f.Fatal(err)
	}
	path := filepath.Join(f.TempDir(), "jwks.json")
	if err := os.WriteFile(path, set, 0o600); err != nil {
		f.Fatal(err)
	}
	v, err := jwt.New(path, issuer, audience, noProblems())
	if err != nil {
		f.Fatal(err)
	}
	encode := base64.RawURLEncoding.EncodeToString
	head, payload := encode([]byte(`{"alg":"EdDSA","kid":"d"}`)), encode([]byte(`{"iss":"`+issuer+`","aud":"`+audience+`","sub":"ada","exp":32503680000}`))
	signature := ed25519.Sign(private, []byte(head+"."+payload))
	f.Add(head, payload, encode(signature))
	f.Add(encode([]byte(`{"alg":"none"}`)), payload, "")
	f.Add(encode([]byte(`{"alg":"HS256","kid":"d"}`)), payload, encode(signature))
	f.Add(encode([]byte(`{"alg":"EdDSA","alg":"none","b64":false,"crit":["b64"]}`)), "{}", "=")
	f.Add("", "", "..")
	f.Fuzz(func(t *testing.T, h, p, s string) {
		user, err := v.Subject(t.Context(), h+"."+p+"."+s)
		if err != nil {
			return
		}
		if decoded, _ := base64.RawURLEncoding.DecodeString(s); user != "ada" || h != head || p != payload || string(decoded) != string(signature) {
			t.Fatalf("%s.%s.%s is let in as %q", h, p, s, user)
		}
	})
}
