// Package access keeps who may do what: the owner's token, the tokens that were given to others, the secret that links
// are signed with, and the KEYs of player URLs and feeds. Each is a file of the data directory with the rights 0600,
// replaced whole when it changes.
//
// The owner's token and the secret of links are replaced by removing their files, while the daemon runs too.
//
// It must not know HTTP, stories' contents or the queue. One process at a time may change the files: the daemon while
// it runs, else whoever holds the database's lock.
package access

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/codestory/codestoryd"
)

// The files, in the data directory.
const (
	ownerFile  = "token"       // the owner's token, as text
	tokensFile = "tokens.json" // the others, hashed
	keyFile    = "link.key"    // the secret of links, as text
	keysFile   = "keys.json"   // which KEYs were replaced
)

// OwnerName is the name of the owner's token.
const OwnerName = "owner"

// Access is the open files. All methods may be called at the same time.
type Access struct {
	dir    string
	opened time.Time
	owner  *secret // the owner's token
	key    *secret // that links and KEYs are made with

	mu     sync.Mutex // guards what follows
	tokens []granted
	used   map[string]time.Time // by name; newer than what the file says

	keys    keys
	linkKey atomic.Pointer[linkKey] // the last that was asked for
}

// Open reads the files, makes those that are absent, and takes away everybody else's rights to them.
func Open(dir string) (*Access, error) {
	a := &Access{dir: dir, opened: time.Now().Round(0), used: map[string]time.Time{}}
	var err error
	if a.owner, err = openSecret(filepath.Join(dir, ownerFile)); err != nil {
		return nil, err
	}
	if a.key, err = openSecret(filepath.Join(dir, keyFile)); err != nil {
		return nil, err
	}
	if a.keys.replaced, err = readKeys(filepath.Join(dir, keysFile)); err != nil {
		return nil, err
	}
	a.tokens, err = readTokens(filepath.Join(dir, tokensFile))
	return a, err
}

// OwnerToken reads the owner's token, for a command that talks to the daemon. The error wraps fs.ErrNotExist where no
// daemon has made one yet.
func OwnerToken(dir string) (string, error) { return readSecret(filepath.Join(dir, ownerFile)) }

// Identify finds the token that the secret belongs to. How long it takes says nothing about the secrets.
func (a *Access) Identify(_ context.Context, secret string) (codestory.Token, bool) {
	sum, owner := sha256.Sum256([]byte(secret)), sha256.Sum256([]byte(a.owner.now()))
	if subtle.ConstantTimeCompare(sum[:], owner[:]) == 1 {
		return codestory.Token{Name: OwnerName, Scope: codestory.ScopeManage}, true
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	var found *granted
	for i := range a.tokens {
		if subtle.ConstantTimeCompare(sum[:], a.tokens[i].Hash) == 1 {
			found = &a.tokens[i]
		}
	}
	if found == nil {
		return codestory.Token{}, false
	}
	a.used[found.Name] = time.Now().Round(0)
	return found.Token, true
}

// Prove answers a challenge as Proof does with the owner's token.
func (a *Access) Prove(challenge string) string { return Proof(a.owner.now(), challenge) }

// Proof is how the daemon that has this owner's token answers a challenge.
func Proof(token, challenge string) string {
	key := derive(token, "proof of the owner's token") // which is for nothing else, and says nothing about the token
	return base64.RawURLEncoding.EncodeToString(derive(string(key), challenge))
}
