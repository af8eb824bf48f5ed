package access

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"encoding/base64"
	"maps"
	"path/filepath"

	"github.com/codestory/codestoryd"
)

// A KEY is derived from the secret of links, so nothing is stored for it until it is replaced. Then a random text is
// stored that goes into the next one: a replaced KEY can never come back.

const (
	// keyBytes is the length of a KEY's secret: 128 bits.
	keyBytes = 16
	// storyBytes is the length of what begins a story's KEY. It depends on the story alone, so that a KEY of another owner is
	// told from one that was never made.
	storyBytes = 8
)

// replacedKeys is the file: for each KEY that was replaced the random text that its successor is derived from.
type replacedKeys struct {
	Stories   map[codestory.StoryID]string `json:"stories"`
	Libraries map[string]string            `json:"libraries"` // by user
	Users     map[string]string            `json:"users"`     // by user, for all KEYs of their stories
}

// LinkKey is the secret that local links are signed with.
func (a *Access) LinkKey() []byte { return a.secrets.Now().linkKey }

// PlayKey is the KEY of the player URLs and the feed of a story that has that owner, known or not, as URL-safe text.
func (a *Access) PlayKey(id codestory.StoryID, owner codestory.Owner) string {
	salted, ofUser := a.salted(id), ""
	if owner.Known() {
		a.keysMu.RLock()
		ofUser = a.replaced.Users[owner.String()]
		a.keysMu.RUnlock()
	}
	key := a.derive("story " + salted)[:storyBytes:storyBytes]
	key = append(key, a.derive("play " + salted + " " + ofUser + " " + owner.Text())[:keyBytes]...)
	return base64.RawURLEncoding.EncodeToString(key)
}

// PlayKeyOf reports whether the KEY was made for the story, whoever had it then, and was not replaced since.
func (a *Access) PlayKeyOf(id codestory.StoryID, key string) bool {
	b, err := decodeKey(key)
	return err == nil && len(b) == storyBytes+keyBytes && hmac.Equal(b[:storyBytes], a.derive("story " + a.salted(id))[:storyBytes])
}

// decodeKey decodes the one spelling that a KEY has. Decoders skip line breaks, and may ignore the last bits.
func decodeKey(key string) ([]byte, error) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(key)
	if err == nil && len(key) != base64.RawURLEncoding.EncodedLen(len(b)) {
		err = base64.CorruptInputError(len(key))
	}
	return b, err
}

// salted is the story's id and the random text that its KEYs are derived from, neither of which holds a space.
func (a *Access) salted(id codestory.StoryID) string {
	a.keysMu.RLock()
	defer a.keysMu.RUnlock()
	return string(id) + " " + a.replaced.Stories[id]
}

// RotatePlayKey replaces the story's KEY. The old one opens nothing once this has returned nil, and stays in force if it
// fails.
func (a *Access) RotatePlayKey(id codestory.StoryID) error {
	return a.replaceKey(func(r *replacedKeys) { r.Stories[id] = newSecret() })
}

// RotateLibraryKey replaces the KEY of the user's library, as RotatePlayKey does that of a story.
func (a *Access) RotateLibraryKey(user string) error {
	return a.replaceKey(func(r *replacedKeys) { r.Libraries[user] = newSecret() })
}

// ReplaceKeys replaces the KEYs of the user's library and of all their stories, as RotatePlayKey does that of one.
func (a *Access) ReplaceKeys(user string) error {
	return a.replaceKey(func(r *replacedKeys) { r.Libraries[user], r.Users[user] = newSecret(), newSecret() })
}

// replaceKey changes the file, and then the keys in force.
func (a *Access) replaceKey(edit func(*replacedKeys)) error {
	a.keysMu.Lock()
	defer a.keysMu.Unlock()
	next := replacedKeys{Stories: map[codestory.StoryID]string{}, Libraries: map[string]string{}, Users: map[string]string{}}
	maps.Copy(next.Stories, a.replaced.Stories)
	maps.Copy(next.Libraries, a.replaced.Libraries)
	maps.Copy(next.Users, a.replaced.Users)
	edit(&next)
	if err := writeJSON(filepath.Join(a.dir, keysFile), next); err != nil {
		return err
	}
	a.replaced = next
	return nil
}

// derive makes a key for one purpose out of the secret of links.
func (a *Access) derive(purpose string) []byte { return derive(a.secrets.Now().links.text, purpose) }

// The URL of a library's feed names no user, so its KEY has to: it is a MAC of the user's name, 128 bits, followed by the
// name, encrypted with the MAC as its nonce (the construction of RFC 5297). So it needs no list of users, is the same each
// time, and shows nobody the name.

// LibraryKey is the KEY of the feed of all the user's stories, as URL-safe text.
func (a *Access) LibraryKey(user string) string {
	tag := a.libraryTag(user)
	return base64.RawURLEncoding.EncodeToString(append(tag, a.libraryCipher(tag, []byte(user))...))
}

// LibraryUser is the user whose library the KEY opens; false if it opens none.
func (a *Access) LibraryUser(key string) (user string, ok bool) {
	b, err := decodeKey(key)
	if err != nil || len(b) < keyBytes {
		return "", false
	}
	tag := b[:keyBytes:keyBytes]
	user = string(a.libraryCipher(tag, b[keyBytes:]))
	return user, hmac.Equal(tag, a.libraryTag(user))
}

// libraryTag is the MAC. The salt holds no space, and the user's name is last, so no two names share a text.
func (a *Access) libraryTag(user string) []byte {
	a.keysMu.RLock()
	salt := a.replaced.Libraries[user]
	a.keysMu.RUnlock()
	return a.derive("library " + salt + " " + user)[:keyBytes]
}

// libraryCipher encrypts and decrypts.
func (a *Access) libraryCipher(tag, text []byte) []byte {
	block, err := aes.NewCipher(a.derive("library names"))
	if err != nil {
		panic(err) // a derived key has 32 bytes
	}
	out := make([]byte, len(text))
	cipher.NewCTR(block, tag).XORKeyStream(out, text)
	return out
}
