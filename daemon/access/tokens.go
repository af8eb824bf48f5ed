package access

import (
	"crypto/sha256"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/codestory/codestoryd"
)

// granted is a token as it stands in the file: with the SHA-256 of its secret, never the secret. The secrets are 256
// random bits, so that no slow hash is needed.
type granted struct {
	codestory.Token
	Hash []byte `json:"sha256"`
}

var tokenName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

// Tokens lists the tokens that were added, by name.
func (a *Access) Tokens() []codestory.Token {
	a.mu.Lock()
	defer a.mu.Unlock()
	tokens := make([]codestory.Token, 0, len(a.tokens))
	for _, t := range a.withUse() {
		tokens = append(tokens, t.Token)
	}
	return tokens
}

// Check says what is wrong with the name or scope of a token that is to be added.
func Check(name string, scope codestory.Scope) error {
	if !tokenName.MatchString(name) || name == OwnerName {
		return fmt.Errorf("%q is no name for a token: use up to 64 letters, digits, dots, hyphens and underscores, and not %q", name, OwnerName)
	}
	if scope != codestory.ScopePlay && scope != codestory.ScopeManage {
		return fmt.Errorf("%q is no scope: use %s or %s", scope, codestory.ScopePlay, codestory.ScopeManage)
	}
	return nil
}

// AddToken makes a token and returns its secret, which is not kept.
func (a *Access) AddToken(t codestory.Token) (secret string, err error) {
	if err := Check(t.Name, t.Scope); err != nil {
		return "", err
	}
	secret = newSecret()
	sum := sha256.Sum256([]byte(secret))
	t.CreatedAt, t.LastUsed = time.Now().Round(0).UTC(), nil

	a.mu.Lock()
	defer a.mu.Unlock()
	if slices.ContainsFunc(a.tokens, func(g granted) bool { return g.Name == t.Name }) {
		return "", fmt.Errorf("there is a token %q already: remove it first, or choose another name", t.Name)
	}
	next := append(a.withUse(), granted{Token: t, Hash: sum[:]})
	slices.SortFunc(next, func(x, y granted) int { return strings.Compare(x.Name, y.Name) })
	return secret, a.save(next)
}

// RemoveToken ends a token, with keys after it has replaced the KEYs of its user; codestory.ErrNotFound if there is none of that name.
func (a *Access) RemoveToken(name string, keys bool) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	i := slices.IndexFunc(a.tokens, func(g granted) bool { return g.Name == name })
	if i < 0 {
		return fmt.Errorf("token %q: %w", name, codestory.ErrNotFound)
	}
	if keys {
		if err := a.ReplaceKeys(a.tokens[i].User); err != nil {
			return err
		}
	}
	return a.save(slices.Delete(a.withUse(), i, i+1))
}

// Close writes down when the tokens were last used.
func (a *Access) Close() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.used) == 0 {
		return nil
	}
	return a.save(a.withUse())
}

// withUse is a copy of the tokens that knows when each was last used.
func (a *Access) withUse() []granted {
	tokens := slices.Clone(a.tokens)
	for i, t := range tokens {
		if at, ok := a.used[t.Name]; ok {
			tokens[i].LastUsed = &at
		}
	}
	return tokens
}

// save replaces the file and then the tokens in force: a token that is not on disk is not honoured.
func (a *Access) save(tokens []granted) error {
	if err := writeJSON(filepath.Join(a.dir, tokensFile), tokens); err != nil {
		return err
	}
	a.tokens = tokens
	clear(a.used)
	return nil
}
