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
	Number          int      `json:"number"` // its position in the list if it has none; 0 if that is another's number
	Title           string   `json:"title,omitempty"`
	DurationSeconds *float64 `json:"duration_seconds,omitempty"` // above 0, or nil
	File            string   `json:"file,omitempty"`             // its path in the story's folder
}

// ParseMetadata reads a metadata.json. Each field stands for itself: one that does not parse leaves the others as they
// are, above all whose story it is, and is named in faults, a sentence for the person who made the file. The error,
// another, says that nothing could be read.
func ParseMetadata(data []byte) (m Metadata, faults string, err error) {
	if len(data) > MaxMetadataBytes {
		return Metadata{}, "", fmt.Errorf("metadata.json has %d bytes; at most %d are read", len(data), MaxMetadataBytes)
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(metadataText(data), &fields); err != nil {
		return Metadata{}, "", fmt.Errorf("metadata.json does not parse: %w", err)
	}
	if fields == nil {
		return Metadata{}, "", errors.New("metadata.json is null, not an object")
	}
	var bad fieldFaults
	for _, f := range []struct {
		name string
		to   *string
	}{
		{"story_id", &m.StoryID}, {"title", &m.Title}, {"description", &m.Description}, {"language", &m.Language},
	} {
		bad.add(f.name, readText(fields[f.name], f.to))
	}
	bad.add("created_at", readTime(fields["created_at"], &m.CreatedAt))
	readSource(fields["source"], &m.Source, &bad)
	bad.add("user_id", m.readOwner(fields["user_id"]))
	var left int
	m.Chapters, left = readChapters(fields["chapters"], &bad)
	said := bad.sentences()
	if left > 0 {
		said = append(said, fmt.Sprintf("it has %d chapters: the first %d are read, and the other %d left out",
			MaxChapters+left, MaxChapters, left))
	}
	if long := m.cut(); long > 0 {
		said = append(said, fmt.Sprintf("it has %d texts that are too long: only their beginning is read", long))
	}
	if len(said) > 0 {
		faults = "metadata.json: " + strings.Join(said, "; ")
	}
	return m, faults, nil
}

// readChapters reads the first MaxChapters of a list, one after the other, and counts those that are left.
func readChapters(raw json.RawMessage, faults *fieldFaults) (chapters []MetadataChapter, left int) {
	if absent(raw) {
		return nil, 0
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	if token, err := dec.Token(); err != nil || token != json.Delim('[') {
		faults.add("chapters", errNotList)
		return nil, 0
	}
	var unnumbered []int
	for dec.More() {
		if len(chapters) == MaxChapters {
			_ = dec.Decode(&struct{}{}) // keeps nothing; the syntax was checked before
			left++
			continue
		}
		c, isObject := readChapter(dec, len(chapters), faults)
		if isObject && c.Number == 0 {
			unnumbered = append(unnumbered, len(chapters))
		}
		chapters = append(chapters, c)
	}
	numberByPosition(chapters, unnumbered, faults)
	return chapters, left
}

// readChapter reads the next chapter of a list, at that place in it, each field for itself.
func readChapter(dec *json.Decoder, place int, faults *fieldFaults) (c MetadataChapter, isObject bool) {
	var fields *struct {
		Number          json.RawMessage
		Title           json.RawMessage
		DurationSeconds json.RawMessage `json:"duration_seconds"`
		File            json.RawMessage
	}
	if dec.Decode(&fields) != nil || fields == nil {
		faults.addChapter(place, "", errNotObject)
		return c, false
	}
	faults.addChapter(place, "number", readPosition(fields.Number, &c.Number))
	faults.addChapter(place, "title", readText(fields.Title, &c.Title))
	faults.addChapter(place, "duration_seconds", readDuration(fields.DurationSeconds, &c.DurationSeconds))
	faults.addChapter(place, "file", readText(fields.File, &c.File))
	if len(c.File) > MaxKeyBytes {
		faults.addChapter(place, "file", errLongName)
		c.File = ""
	}
	return c, true
}

// numberByPosition numbers the chapters that have no number. One that would take another's stays without.
func numberByPosition(chapters []MetadataChapter, unnumbered []int, faults *fieldFaults) {
	if len(unnumbered) == 0 {
		return
	}
	numbers := map[int]bool{}
	for _, c := range chapters {
		numbers[c.Number] = true
	}
	for _, i := range unnumbered {
		if numbers[i+1] {
			faults.addChapter(i, "number", errNumberTaken)
			continue
		}
		chapters[i].Number = i + 1
	}
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
