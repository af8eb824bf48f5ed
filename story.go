// Package codestory is the vocabulary that every other package of codestoryd speaks: story ids, paths and keys,
// versions of a file, metadata.json, states, error classes, and the shapes that the HTTP API and the commands share.
//
// It uses the standard library only, does no I/O and starts no goroutine. It must not know how anything is stored,
// watched or served.
package codestory

import (
	"errors"
	"fmt"
)

// StoryID names a story: a UUID in its canonical text form (RFC 9562, section 4), spelled as the story's folder is.
// Two spellings of one UUID are two ids, because they are two folders.
type StoryID string

// ErrStoryID is wrapped by every error of ParseStoryID.
var ErrStoryID = errors.New("not a story id")

// ParseStoryID reads a UUID of 36 characters: 8-4-4-4-12 hexadecimal digits in either case. Any version and variant
// is accepted, since the generator owns the choice.
func ParseStoryID(s string) (StoryID, error) {
	if len(s) != 36 {
		return "", fmt.Errorf("%w: %q is not a UUID of 36 characters", ErrStoryID, s)
	}
	for i := range len(s) {
		switch i {
		case 8, 13, 18, 23:
			if s[i] != '-' {
				return "", fmt.Errorf("%w: %q has no hyphen at position %d", ErrStoryID, s, i)
			}
		default:
			if !isHexDigit(s[i]) {
				return "", fmt.Errorf("%w: %q has a character that is not hexadecimal at position %d", ErrStoryID, s, i)
			}
		}
	}
	return StoryID(s), nil
}

func isHexDigit(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}
