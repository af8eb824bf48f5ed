// Package access keeps who may do what: the owner's token, the tokens that were given to others, the secret that links
// are signed with, and the KEYs of player URLs and feeds. Each is a file of the data directory with the rights 0600, replaced whole when it changes.
//
// It must not know HTTP, stories' contents or the queue. One process at a time may change the files: the daemon while
// it runs, else whoever holds the database's lock.
package access

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/daemon/atomicfile"
)

// The files, in the data directory.
const (
	ownerFile  = "token"       // the owner's token, as text
	tokensFile = "tokens.json" // the others, hashed
	keyFile    = "link.key"    // the secret of links, as text
	keysFile   = "keys.json"   // which KEYs were replaced
)

const (
	secretBytes = 32 // of a token or key that is made here: 256 bits
	minSecret   = 32 // characters of one that is read from a file
)

// OwnerName is the name of the owner's token.
const OwnerName = "owner"

// Access is the open files. All methods may be called at the same time.
type Access struct {
	dir   string
	owner digest
	key   []byte

	mu     sync.Mutex // guards what follows
	tokens []granted
	used   map[string]time.Time // by name; newer than what the file says

	keys keys
}

// digest is the SHA-256 of a secret. The secrets are 256 random bits, so that no slow hash is needed.
type digest [sha256.Size]byte

// Open reads the files, makes those that are absent, and takes away everybody else's rights to them.
func Open(dir string) (*Access, error) {
	a := &Access{dir: dir, used: map[string]time.Time{}}
	owner, err := secretFile(filepath.Join(dir, ownerFile))
	if err != nil {
		return nil, err
	}
	a.owner = sha256.Sum256([]byte(owner))
	key, err := secretFile(filepath.Join(dir, keyFile))
	if err != nil {
		return nil, err
	}
	a.key = []byte(key)
	if a.keys.replaced, err = readKeys(filepath.Join(dir, keysFile)); err != nil {
		return nil, err
	}
	a.tokens, err = readTokens(filepath.Join(dir, tokensFile))
	return a, err
}

// OwnerToken reads the owner's token, for a command that talks to the daemon. The error wraps fs.ErrNotExist where no
// daemon has made one yet.
func OwnerToken(dir string) (string, error) { return readSecret(filepath.Join(dir, ownerFile)) }

// secretFile reads the secret in the file, or makes one.
func secretFile(path string) (string, error) {
	secret, err := readSecret(path)
	if errors.Is(err, fs.ErrNotExist) {
		secret = newSecret()
		return secret, atomicfile.Write(path, []byte(secret+"\n"), 0o600)
	}
	if err != nil {
		return "", err
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return "", fmt.Errorf("taking away others' rights to a secret: %w", err)
	}
	return secret, nil
}

func readSecret(path string) (string, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("reading a secret: %w", err)
	}
	secret := strings.TrimSpace(string(b))
	if len(secret) < minSecret {
		return "", fmt.Errorf("%s holds no secret of at least %d characters: remove the file, and the daemon makes a new one", path, minSecret)
	}
	return secret, nil
}

func newSecret() string {
	b := make([]byte, secretBytes)
	_, _ = rand.Read(b) // never fails, see crypto/rand
	return base64.RawURLEncoding.EncodeToString(b)
}

// Identify finds the token that the secret belongs to. How long it takes says nothing about the secrets.
func (a *Access) Identify(secret string) (codestory.Token, bool) {
	sum := sha256.Sum256([]byte(secret))
	if subtle.ConstantTimeCompare(sum[:], a.owner[:]) == 1 {
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
func (a *Access) Prove(challenge string) string { return prove(a.owner, challenge) }

// Proof is how the daemon that has this owner's token answers a challenge.
func Proof(token, challenge string) string { return prove(sha256.Sum256([]byte(token)), challenge) }

func prove(owner digest, challenge string) string {
	mac := hmac.New(sha256.New, owner[:])
	mac.Write([]byte("codestoryd 1 healthz " + challenge))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}
