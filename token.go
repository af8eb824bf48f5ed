package codestory

import "time"

// Scope is what a token may do.
type Scope string

const (
	ScopePlay   Scope = "play"   // read its user's stories, links, feeds and events
	ScopeManage Scope = "manage" // everything, for every story
)

// Token is an API token without its secret.
type Token struct {
	Name      string     `json:"name"`
	User      string     `json:"user"` // "" is the daemon's own user
	Scope     Scope      `json:"scope"`
	CreatedAt time.Time  `json:"created_at"`
	LastUsed  *time.Time `json:"last_used"`
}

// MayRead reports whether the token may see a story of that owner. It is the one place that decides this: a story whose
// owner is not known is for scope manage only.
func (t Token) MayRead(owner Owner) bool {
	return t.Scope == ScopeManage || t.Scope == ScopePlay && owner.Is(t.User)
}
