package access

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"sync"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/internal/atomicfile"
)

// A KEY is derived from the secret of links, so that there is nothing to keep for it until it is replaced. Then a random
// text is kept that goes into the next one: what was derived before can never come back.

// keyBytes is the length of a KEY: 128 bits.
const keyBytes = 16

// keys are the open file of those that were replaced.
type keys struct {
	mu       sync.RWMutex // guards replaced
	replaced replacedKeys
}

// replacedKeys is the file: for each KEY that was replaced the random text that its successor is derived from.
type replacedKeys struct {
	Stories   map[codestory.StoryID]string `json:"stories"`
	Libraries map[string]string            `json:"libraries"` // by user
}

func readKeys(path string) (replacedKeys, error) {
	var r replacedKeys
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return r, nil
	}
	if err != nil {
		return r, fmt.Errorf("reading the keys: %w", err)
	}
	if err := json.Unmarshal(b, &r); err != nil {
		return r, fmt.Errorf("%s does not parse (%w): mend it; to remove it would bring back every KEY that was replaced, so remove %s with it and give out all links anew",
			path, err, keyFile)
	}
	_, err = closeToOthers(path) // worth nothing without the secret of links
	return r, err
}

// LinkKey is the secret that local links are signed with.
func (a *Access) LinkKey() []byte {
	text := a.key.now()
	if last := a.linkKey.Load(); last != nil && last.of == text {
		return last.key
	}
	made := &linkKey{of: text, key: derive(text, "link")}
	a.linkKey.Store(made)
	return made.key
}

// linkKey is the key of links that was derived of a secret.
type linkKey struct {
	of  string
	key []byte
}

// PlayKey is the KEY of the story's player URLs and feed, as URL-safe text.
func (a *Access) PlayKey(id codestory.StoryID) string {
	a.keys.mu.RLock()
	salt := a.keys.replaced.Stories[id]
	a.keys.mu.RUnlock()
	purpose := "play " + string(id)
	if salt != "" {
		purpose += " " + salt
	}
	return base64.RawURLEncoding.EncodeToString(a.derive(purpose)[:keyBytes])
}

// RotatePlayKey replaces the story's KEY. The old one is worth nothing once this has returned nil, and as much as
// before where it has not.
func (a *Access) RotatePlayKey(id codestory.StoryID) error {
	return a.replaceKey(func(r *replacedKeys) { r.Stories[id] = newSecret() })
}

// RotateLibraryKey replaces the KEY of the user's library, as RotatePlayKey does that of a story.
func (a *Access) RotateLibraryKey(user string) error {
	return a.replaceKey(func(r *replacedKeys) { r.Libraries[user] = newSecret() })
}

// ReplaceKeys replaces the KEY of the user's library and those of the stories, which should be all of that user's, in one
// step.
func (a *Access) ReplaceKeys(user string, stories []codestory.StoryID) error {
	return a.replaceKey(func(r *replacedKeys) {
		r.Libraries[user] = newSecret()
		for _, id := range stories {
			r.Stories[id] = newSecret()
		}
	})
}

// replaceKey changes the file, and then the keys in force.
func (a *Access) replaceKey(edit func(*replacedKeys)) error {
	a.keys.mu.Lock()
	defer a.keys.mu.Unlock()
	next := replacedKeys{Stories: map[codestory.StoryID]string{}, Libraries: map[string]string{}}
	maps.Copy(next.Stories, a.keys.replaced.Stories)
	maps.Copy(next.Libraries, a.keys.replaced.Libraries)
	edit(&next)
	b, err := json.MarshalIndent(next, "", "  ")
	if err != nil {
		return fmt.Errorf("encoding the keys: %w", err)
	}
	if err := atomicfile.Write(filepath.Join(a.dir, keysFile), append(b, '\n'), 0o600); err != nil {
		return err
	}
	a.keys.replaced = next
	return nil
}

// derive makes a key for one purpose out of the secret of links, so that one key tells nothing about another.
func (a *Access) derive(purpose string) []byte { return derive(a.key.now(), purpose) }

func derive(secret, purpose string) []byte {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte("codestoryd 1 " + purpose))
	return mac.Sum(nil)
}
