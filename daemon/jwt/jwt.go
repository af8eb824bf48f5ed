// Package jwt lets in the users of another service, which signs JSON Web Tokens (RFC 7519) for them: it verifies the
// tokens with the public keys that the service publishes (RFC 7517), from a file or a URL.
//
// It knows signatures that need a public key alone, and nothing of what a user may do. A key decides which algorithm
// it is for, the token does not: so there is no "none", and no HMAC with a public key as its secret.
package jwt

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	josejwt "github.com/go-jose/go-jose/v4/jwt"

	"github.com/codestory/codestoryd"
)

// algorithms are those that tokens may be signed with.
var algorithms = []jose.SignatureAlgorithm{jose.RS256, jose.ES256, jose.EdDSA}

const (
	leeway   = 30 * time.Second // between the service's clock and ours
	maxToken = 16 << 10         // bytes
)

// Verifier verifies the tokens of one service. All methods may be called at the same time.
type Verifier struct {
	expected josejwt.Expected
	keys     *keyring
}

// New verifies tokens that issuer signed for audience. keys is where its JWK set is: an https URL, an http one on this
// machine, or a file. A file is read at once, and again when it changes. A URL is asked later: that it does not
// answer is no error here, but one of Problems.
func New(keys, issuer, audience string, log *slog.Logger) (*Verifier, error) {
	if issuer == "" || audience == "" {
		return nil, errors.New("JWTs need an issuer and an audience: else tokens that the same keys signed for others would count")
	}
	v := &Verifier{expected: josejwt.Expected{Issuer: issuer, AnyAudience: josejwt.Audience{audience}}}
	var err error
	v.keys, err = newKeyring(keys, log)
	return v, err
}

// Resembles reports whether a bearer token has the form of a JWT. No other token of this daemon has dots.
func Resembles(token string) bool { return strings.Count(token, ".") == 2 }

// Subject is the user that a valid token names. The error says what is wrong with it, and holds nothing of the token
// but the name of its key and algorithm.
func (v *Verifier) Subject(ctx context.Context, token string) (user string, err error) {
	if len(token) > maxToken {
		return "", fmt.Errorf("it has more than %d bytes", maxToken)
	}
	if err := checkForm(token); err != nil {
		return "", err
	}
	signed, err := josejwt.ParseSigned(token, algorithms)
	if err != nil {
		return "", err
	}
	if len(signed.Headers) != 1 {
		return "", errors.New("it has not one signature")
	}
	header := signed.Headers[0]
	candidates, err := v.keys.find(ctx, header.KeyID, jose.SignatureAlgorithm(header.Algorithm))
	if err != nil {
		return "", err
	}
	var claims josejwt.Claims
	for _, key := range candidates {
		if err = signed.Claims(key, &claims); err == nil {
			break
		}
	}
	if err != nil {
		return "", err
	}
	if claims.Expiry == nil {
		return "", errors.New("it has no end (exp)")
	}
	if err := claims.ValidateWithLeeway(v.expected, leeway); err != nil {
		return "", err
	}
	if claims.Subject == "" { // which is the daemon's own user
		return "", errors.New("it names no user (sub)")
	}
	return claims.Subject, nil
}

// checkForm refuses other spellings of a token, since decoders skip line breaks and ignore the last bits of a text, and
// critical extensions: none is known here, and an empty list of them is forbidden (RFC 7515).
func checkForm(token string) error {
	parts := strings.Split(token, ".")
	for _, part := range parts {
		b, err := base64.RawURLEncoding.DecodeString(part)
		if err != nil || base64.RawURLEncoding.EncodeToString(b) != part || len(parts) != 3 {
			return errors.New("expected three base64url texts joined by dots")
		}
	}
	var header map[string]json.RawMessage
	text, _ := base64.RawURLEncoding.DecodeString(parts[0])
	if err := json.Unmarshal(text, &header); err != nil {
		return fmt.Errorf("its header does not parse: %w", err)
	}
	if _, ok := header["crit"]; ok {
		return errors.New("it names critical extensions (crit), of which none is known here")
	}
	return nil
}

// Run keeps the keys fresh until ctx ends. Without it they are read when a token comes.
func (v *Verifier) Run(ctx context.Context) error {
	v.keys.run(ctx)
	return nil
}

// Problems are what keeps tokens from being verified.
func (v *Verifier) Problems() []codestory.Problem { return v.keys.problems() }
