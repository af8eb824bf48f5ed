// Package access keeps who may do what: the owner's token, the tokens that were given to others, the secret that links
// are signed with, and the KEYs of player URLs and feeds. Each is a file of the data directory with the rights 0600,
// replaced whole when it changes. Whoever wants another token of the owner, or another secret of links, removes its file
// or writes their own into it, while the daemon runs too.
//
// It must not know HTTP, stories' contents or the queue. One process at a time may change the files: the daemon while
// it runs, else whoever holds the database's lock.
package access

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/internal/atomicfile"
	"github.com/codestory/codestoryd/internal/problem"
)

// The files, in the data directory.
const (
	ownerFile  = "token"       // the owner's token, as text
	tokensFile = "tokens.json" // the others, hashed
	linkFile   = "link.key"    // the secret of links, as text
	keysFile   = "keys.json"   // which KEYs were replaced
)

// OwnerName is the name of the owner's token.
const OwnerName = "owner"

// Access is the open files. All methods may be called at the same time.
type Access struct {
	dir      string
	problems *problem.Set
	secrets  *atomicfile.Followed[secrets]

	mu     sync.Mutex // guards tokens and used
	tokens []granted
	used   map[string]time.Time // by name; newer than what the file says

	keysMu   sync.RWMutex // guards replaced
	replaced replacedKeys
}

// Open reads the files, makes those that are absent, and takes away everybody else's rights to them. What is wrong with
// them is reported to problems; nil is nobody.
func Open(dir string, problems *problem.Set) (*Access, error) {
	if problems == nil {
		problems = problem.NewSet(slog.New(slog.DiscardHandler))
	}
	a := &Access{dir: dir, problems: problems, used: map[string]time.Time{}}
	closeDir(dir, problems)
	var err error
	a.secrets, err = atomicfile.Open(atomicfile.FollowOptions{
		Paths: []string{filepath.Join(dir, ownerFile), filepath.Join(dir, linkFile)}, Problems: problems, Code: "secret_unreadable",
	}, a.readSecrets)
	if err != nil {
		return nil, err
	}
	err = readJSON(filepath.Join(dir, keysFile), &a.replaced, "mend it; to remove it would bring back every KEY that was replaced, so remove "+
		linkFile+" with it and give out all links again")
	if err != nil {
		return nil, err
	}
	return a, readJSON(filepath.Join(dir, tokensFile), &a.tokens, "mend it, or remove it and add the tokens again")
}

const (
	lookEvery  = time.Second // at the files of secrets
	writeEvery = time.Minute // when tokens were last used
)

// Run notices until ctx ends that a secret was replaced, or files were opened to others, and writes down when tokens were
// last used. Close writes the rest.
func (a *Access) Run(ctx context.Context, log *slog.Logger) error {
	look, write := time.NewTicker(lookEvery), time.NewTicker(writeEvery)
	defer look.Stop()
	defer write.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-look.C:
			a.look(log)
		case <-write.C:
			closeDir(a.dir, a.problems)
			if err := a.Close(); err != nil { // it is kept for the next time
				log.Debug("when tokens were last used is not written yet", "err", err)
			}
		}
	}
}

func (a *Access) look(log *slog.Logger) {
	before := a.secrets.Now()
	after, _ := a.secrets.Look()
	if before.owner.text != after.owner.text {
		log.Info("another token of the owner is in force", "file", ownerFile)
	}
	if before.links.text != after.links.text {
		log.Info("another secret of links is in force", "file", linkFile)
	}
}

// Identify finds the token that the secret belongs to. How long it takes says nothing about the secrets.
func (a *Access) Identify(_ context.Context, secret string) (codestory.Token, bool) {
	sum, owner := sha256.Sum256([]byte(secret)), sha256.Sum256([]byte(a.secrets.Now().owner.text))
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

// OwnerToken reads the owner's token, for a command that talks to the daemon. The error wraps fs.ErrNotExist if no
// daemon has made one yet.
func OwnerToken(dir string) (string, error) { return readSecret(filepath.Join(dir, ownerFile)) }

// Prove answers a challenge as Proof does with the owner's token.
func (a *Access) Prove(challenge string) string { return Proof(a.secrets.Now().owner.text, challenge) }

// Proof is how the daemon that has this owner's token answers a challenge. Its key is for nothing else, and says nothing
// about the token.
func Proof(token, challenge string) string {
	key := derive(token, "proof of the owner's token")
	return base64.RawURLEncoding.EncodeToString(derive(string(key), challenge))
}
