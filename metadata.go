package codestory

import (
	"encoding/json"
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
	UserID      string            `json:"user_id,omitempty"` // the owner; "" is the daemon's own user
	Language    string            `json:"language,omitempty"`
	CreatedAt   time.Time         `json:"created_at,omitzero"`
	Source      *Source           `json:"source,omitempty"`
	Chapters    []MetadataChapter `json:"chapters,omitempty"`
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
	var bad []string
	for _, f := range []struct {
		name string
		to   any
	}{
		{"story_id", &m.StoryID}, {"title", &m.Title}, {"description", &m.Description}, {"user_id", &m.UserID},
		{"language", &m.Language}, {"created_at", &m.CreatedAt}, {"source", &m.Source}, {"chapters", &m.Chapters},
	} {
		if raw, ok := fields[f.name]; ok && json.Unmarshal(raw, f.to) != nil {
			bad = append(bad, f.name)
		}
	}
	if len(bad) > 0 {
		faults = "metadata.json has what does not fit in: " + strings.Join(bad, ", ")
	}
	return m, faults, nil
}
