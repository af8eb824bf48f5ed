package codestory

import (
	"encoding/json"
	"fmt"
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

// ParseMetadata reads a metadata.json. Its error is a sentence for the person who made the file.
func ParseMetadata(data []byte) (Metadata, error) {
	if len(data) > MaxMetadataBytes {
		return Metadata{}, fmt.Errorf("metadata.json has %d bytes; at most %d are read", len(data), MaxMetadataBytes)
	}
	var m Metadata
	if err := json.Unmarshal(data, &m); err != nil {
		return Metadata{}, fmt.Errorf("metadata.json does not parse: %w", err)
	}
	return m, nil
}
