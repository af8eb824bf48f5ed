package codestory

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// MaxMetadataBytes is the largest metadata.json that is read for its fields. A larger one is uploaded as it is.
const MaxMetadataBytes = 1 << 20

// What is read of one, at most: it is sent to every listener whenever something of its story changes.
const (
	MaxChapters = 2000
	maxTitle    = 256       // bytes
	maxTitles   = 256 << 10 // of all chapters
	maxAddress  = 2 << 10
	maxText     = 16 << 10
	maxUser     = 1 << 10 // longer names are nobody's
)

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
		{"language", &m.Language}, {"created_at", &m.CreatedAt}, {"source", &m.Source},
	} {
		if raw, ok := fields[f.name]; ok && json.Unmarshal(raw, f.to) != nil {
			bad = append(bad, f.name)
		}
	}
	if !m.readOwner(fields["user_id"]) {
		bad = append(bad, "user_id")
	}
	var said []string
	if raw, ok := fields["chapters"]; ok {
		var left int
		if m.Chapters, left, err = parseChapters(raw); err != nil {
			bad = append(bad, "chapters")
		}
		if left > 0 {
			said = append(said, fmt.Sprintf("metadata.json has %d chapters: the first %d are read, and the other %d left out",
				MaxChapters+left, MaxChapters, left))
		}
	}
	if len(bad) > 0 {
		said = append(said, "metadata.json has what does not fit in: "+strings.Join(bad, ", "))
	}
	if long := m.cut(); long > 0 {
		said = append(said, fmt.Sprintf("metadata.json has %d texts that are too long: only their beginning is read", long))
	}
	return m, strings.Join(said, "; "), nil
}

// parseChapters reads the first MaxChapters of a list, one after the other, and counts those that are left. An error says that
// something in them does not fit.
func parseChapters(raw json.RawMessage) (chapters []MetadataChapter, left int, err error) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	switch token, err := dec.Token(); {
	case err != nil:
		return nil, 0, err
	case token == nil: // null
		return nil, 0, nil
	case token != json.Delim('['):
		return nil, 0, errors.New("chapters are not a list")
	}
	for dec.More() {
		if len(chapters) == MaxChapters {
			_ = dec.Decode(&struct{}{}) // keeps nothing; the syntax was checked before
			left++
			continue
		}
		var c MetadataChapter
		if badField := dec.Decode(&c); badField != nil {
			err = badField
		}
		chapters = append(chapters, c)
	}
	return chapters, left, err
}

// cut shortens the texts that are too long and counts them. Whose story it is stays as it is.
func (m *Metadata) cut() (n int) {
	shorten := func(s *string, most int) {
		if len(*s) <= most {
			return
		}
		for most > 0 && !utf8.RuneStart((*s)[most]) {
			most--
		}
		*s = strings.Clone((*s)[:most])
		n++
	}
	shorten(&m.Title, maxTitle)
	shorten(&m.Description, maxText)
	shorten(&m.Language, maxTitle)
	shorten(&m.StoryID, maxTitle)
	if m.Source != nil {
		shorten(&m.Source.Repository, maxAddress)
		shorten(&m.Source.Commit, maxAddress)
	}
	for i := range m.Chapters {
		shorten(&m.Chapters[i].Title, min(maxTitle, maxTitles/len(m.Chapters)))
	}
	return n
}

// readOwner reads user_id, nil if it is absent, and reports whether it is of a type and length that it may have. A
// number counts as it is written: 42 is the user "42", and 1e3 is "1e3".
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
		if len(user) > maxUser {
			return false
		}
		m.Owner = OwnedBy(user)
	case len(raw) > maxUser:
		return false
	case c == '-', '0' <= c && c <= '9':
		m.Owner = OwnedBy(string(raw))
	default:
		return false
	}
	return true
}
