package main

import (
	"context"
	"log/slog"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/daemon/access"
	"github.com/codestory/codestoryd/daemon/jwt"
	"github.com/codestory/codestoryd/internal/problem"
)

// jwtSettings describe the service whose JWTs are accepted. The zero value accepts none.
type jwtSettings struct{ keys, issuer, audience string }

// checkJWT checks that all or none of the settings are set: without issuer and audience, tokens that the same keys signed for
// other services would be accepted.
func checkJWT(v values) (jwtSettings, error) {
	j := jwtSettings{keys: v.get("jwt-jwks"), issuer: v.get("jwt-issuer"), audience: v.get("jwt-audience")}
	all := j.keys != "" && j.issuer != "" && j.audience != ""
	if !all && j != (jwtSettings{}) {
		return j, usagef("jwt-jwks, jwt-issuer and jwt-audience belong together: set all three, or none")
	}
	return j, nil
}

// identity authenticates a request by the tokens of the data directory, or by a JWT.
type identity struct {
	*access.Access
	jwt *jwt.Verifier // nil if there is no such service
	log *slog.Logger
}

func openIdentity(keys *access.Access, settings jwtSettings, problems *problem.Set, log *slog.Logger) (identity, error) {
	i := identity{Access: keys, log: log.With("component", "access")}
	if settings == (jwtSettings{}) {
		return i, nil
	}
	var err error
	if i.jwt, err = jwt.New(settings.keys, settings.issuer, settings.audience, problems); err != nil {
		return i, usagef("jwt-jwks: %w", err)
	}
	return i, nil
}

// Identify returns the token, or for a JWT one of its user with scope play.
func (i identity) Identify(ctx context.Context, secret string) (codestory.Token, bool) {
	if token, ok := i.Access.Identify(ctx, secret); ok || i.jwt == nil || !jwt.Resembles(secret) {
		return token, ok
	}
	user, err := i.jwt.Subject(ctx, secret)
	if err != nil {
		i.log.Debug("a JWT is refused", "err", err)
		return codestory.Token{}, false
	}
	return codestory.Token{Name: "jwt", User: user, Scope: codestory.ScopePlay}, true
}

// runAccess and runKeys keep secrets and keys fresh until ctx ends.
func (i identity) runAccess(ctx context.Context) error { return i.Access.Run(ctx, i.log) }

func (i identity) runKeys(ctx context.Context) error {
	if i.jwt == nil {
		<-ctx.Done()
		return nil
	}
	return i.jwt.Run(ctx)
}
