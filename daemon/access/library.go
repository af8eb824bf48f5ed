package access

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"encoding/base64"
)

// The URL of a library's feed names no user, so its KEY has to: it is a MAC of the user's name, 128 bits, and behind it
// the name, encrypted with the MAC as its nonce (the construction of RFC 5297). So it needs no list of the users, it is
// the same each time, and whoever sees the URL learns no name.

// LibraryKey is the KEY of the feed of all the user's stories, as URL-safe text.
func (a *Access) LibraryKey(user string) string {
	tag := a.libraryTag(user)
	return base64.RawURLEncoding.EncodeToString(append(tag, a.libraryCipher(tag, []byte(user))...))
}

// LibraryUser is the user whose library the KEY opens; false where it opens none.
func (a *Access) LibraryUser(key string) (user string, ok bool) {
	b, err := base64.RawURLEncoding.DecodeString(key)
	// Comparing the text leaves no second spelling: decoders skip line breaks, and ignore the last bits.
	if err != nil || len(b) < keyBytes || base64.RawURLEncoding.EncodeToString(b) != key {
		return "", false
	}
	tag := b[:keyBytes:keyBytes]
	user = string(a.libraryCipher(tag, b[keyBytes:]))
	return user, hmac.Equal(tag, a.libraryTag(user))
}

// libraryTag is the MAC. The salt holds no space, and the user's name is last, so no two names share a text.
func (a *Access) libraryTag(user string) []byte {
	a.keys.mu.RLock()
	salt := a.keys.replaced.Libraries[user]
	a.keys.mu.RUnlock()
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
