// Package jwt verifies the JSON Web Tokens (RFC 7519) that another service signs for its users, with the public keys that
// the service publishes (RFC 7517) in a file or at a URL.
//
// It must not know what a user may do. The key decides which algorithm it is for, not the token: so there is no "none",
// and no HMAC with a public key as its secret.
package jwt

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/json"
	josejwt "github.com/go-jose/go-jose/v4/jwt"

	"github.com/codestory/codestoryd/internal/problem"
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
	tokens   *oidc.IDTokenVerifier
	keys     *keySet
}

// New verifies tokens that issuer signed for audience. keys is where its JWK set is: an https URL, an http one on this
// machine, or a file. A file is read at once, and again when it changes. A URL is asked later: that it does not
// answer is no error here, but reported to problems.
func New(keys, issuer, audience string, problems *problem.Set) (*Verifier, error) {
	if issuer == "" || audience == "" {
		return nil, errors.New("JWTs need an issuer and an audience: else tokens that the same keys signed for others would count")
	}
	set, err := newKeySet(keys, problems)
	if err != nil {
		return nil, err
	}
	config := &oidc.Config{ClientID: audience, Now: func() time.Time { return time.Now().Add(-leeway) }}
	for _, algorithm := range algorithms {
		config.SupportedSigningAlgs = append(config.SupportedSigningAlgs, string(algorithm))
	}
	expected := josejwt.Expected{Issuer: issuer, AnyAudience: josejwt.Audience{audience}}
	return &Verifier{expected, oidc.NewVerifier(issuer, set, config), set}, nil
}

// Resembles reports whether a bearer token has the form of a JWT. No other token of this daemon has dots.
func Resembles(token string) bool { return strings.Count(token, ".") == 2 }

// Subject is the user that a valid token names. The error says what is wrong with it, and holds nothing of its
// signature.
func (v *Verifier) Subject(ctx context.Context, token string) (user string, err error) {
	if err := checkForm(token); err != nil {
		return "", err
	}
	verified, err := v.tokens.Verify(ctx, token)
	if err != nil {
		return "", err
	}
	// The verifier gives nbf five minutes and takes claims in any case, also twice. So they are read strictly again.
	var payload json.RawMessage
	if err := verified.Claims(&payload); err != nil {
		return "", err
	}
	var claims josejwt.Claims
	if err := json.Unmarshal(payload, &claims); err != nil {
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
	if len(token) > maxToken {
		return fmt.Errorf("it has more than %d bytes", maxToken)
	}
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
