package codestory

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// MaxMetadataBytes is the largest metadata.json that is read for its fields. A larger one is uploaded as it is.
const MaxMetadataBytes = 1 << 20

// Metadata is what the daemon understands of a metadata.json. Every field is optional, and fields that it does not
// know stay in the file, which is served and uploaded as it is.
type Metadata struct {
	StoryID     string            `json:"story_id,omitempty"`
	Title       string            `json:"title,omitempty"`
	Description string            `json:"description,omitempty"`
	Language    string            `json:"language,omitempty"`
	CreatedAt   time.Time         `json:"created_at,omitzero"`
	Source      *Source           `json:"source,omitempty"`
	Chapters    []MetadataChapter `json:"chapters,omitempty"`

	// Owner is what user_id says: not known if it says nothing, or nothing that can be a user.
	Owner Owner `json:"-"`
	// Unowned is that there is no user_id, or null: the daemon's own user, unless the story has an owner.
	Unowned bool `json:"-"`
}

// OwnerAfter returns whose the story is once this metadata was read. before is whose it was.
func (m Metadata) OwnerAfter(before Owner) Owner {
	switch {
	case m.Owner.Known():
		return m.Owner
	case m.Unowned && !before.Known():
		return OwnedBy("")
	default:
		return before
	}
}

// Source is the code that a story tells of.
type Source struct {
	Repository string `json:"repository,omitempty"`
	Commit     string `json:"commit,omitempty"`
}

// MetadataChapter is what metadata.json says of one chapter.
type MetadataChapter struct {
	Number          int      `json:"number"`
	Title           string   `json:"title,omitempty"`
	DurationSeconds *float64 `json:"duration_seconds,omitempty"`
}

// ParseMetadata reads a metadata.json. Each field stands for itself: one that does not parse leaves the others as they
// are, above all whose story it is, and is named in faults, a sentence for the person who made the file. The error,
// another, says that nothing could be read.
func ParseMetadata(data []byte) (m Metadata, faults string, err error) {
	if len(data) > MaxMetadataBytes {
		return Metadata{}, "", fmt.Errorf("metadata.json has %d bytes; at most %d are read", len(data), MaxMetadataBytes)
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(data, &fields); err != nil {
		return Metadata{}, "", fmt.Errorf("metadata.json does not parse: %w", err)
	}
	if fields == nil {
		return Metadata{}, "", errors.New("metadata.json is null, not an object")
	}
	var bad []string
	for _, f := range []struct {
		name string
		to   any
	}{
		{"story_id", &m.StoryID}, {"title", &m.Title}, {"description", &m.Description},
		{"language", &m.Language}, {"created_at", &m.CreatedAt}, {"source", &m.Source}, {"chapters", &m.Chapters},
	} {
		if raw, ok := fields[f.name]; ok && json.Unmarshal(raw, f.to) != nil {
			bad = append(bad, f.name)
		}
	}
	if !m.readOwner(fields["user_id"]) {
		bad = append(bad, "user_id")
	}
	if len(bad) > 0 {
		faults = "metadata.json has what does not fit in: " + strings.Join(bad, ", ")
	}
	return m, faults, nil
}

// readOwner reads user_id, nil if it is absent, and reports whether it is of a type that it may have. A number counts as
// it is written: 42 is the user "42", and 1e3 is "1e3".
func (m *Metadata) readOwner(raw json.RawMessage) bool {
	if len(raw) == 0 || string(raw) == "null" {
		m.Unowned = true
		return true
	}
	switch c := raw[0]; {
	case c == '"':
		var user string
		if json.Unmarshal(raw, &user) != nil {
			return false
		}
		m.Owner = OwnedBy(user)
	case c == '-', '0' <= c && c <= '9':
		m.Owner = OwnedBy(string(raw))
	default:
		return false
	}
	return true
}
