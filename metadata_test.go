package codestory_test

import (
	"encoding/json"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/codestory/codestoryd"
)

// A metadata.json of 1 MiB can name 62,000 chapters. The first 2,000 are read, and the rest takes no memory.
func TestParseMetadataReadsSoManyChapters(t *testing.T) {
	var text strings.Builder
	text.WriteString(`{"title": "Many", "user_id": "alice", "chapters": [{"number": 1}`)
	const chapters = 52_000
	for n := 2; n <= chapters; n++ {
		fmt.Fprintf(&text, `,{"number":%d}`, n)
	}
	text.WriteString("]}")
	data := []byte(text.String())
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	m, faults, err := codestory.ParseMetadata(data)
	runtime.ReadMemStats(&after)
	if err != nil || m.Title != "Many" || !m.Owner.Is("alice") || len(m.Chapters) != codestory.MaxChapters {
		t.Fatalf("%d chapters, %v", len(m.Chapters), err)
	}
	if last := m.Chapters[codestory.MaxChapters-1]; last.Number != codestory.MaxChapters {
		t.Errorf("the last is %+v", last)
	}
	if !strings.Contains(faults, "52000 chapters") || !strings.Contains(faults, "50000 left out") {
		t.Errorf("faults: %q", faults)
	}
	if n := after.TotalAlloc - before.TotalAlloc; n > 4<<20 {
		t.Errorf("%d bytes are allocated for %d", n, len(data))
	}
}

func TestParseMetadataChapters(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]struct {
		chapters int
		faults   string
	}{
		`[]`:                             {0, ""},
		`null`:                           {0, ""},
		`[{"number": 1}, {"number": 2}]`: {2, ""},
		`{"number": 1}`:                  {0, "chapters"},
		`"two"`:                          {0, "chapters"},
		`[{"number": "x", "title": "T"}, {"number": 2}]`: {2, "chapters"},
		`[1, {"number": 2}]`:                             {2, "chapters"},
	} {
		m, faults, err := codestory.ParseMetadata([]byte(`{"title": "T", "chapters": ` + text + `}`))
		if err != nil || m.Title != "T" || len(m.Chapters) != want.chapters || !strings.Contains(faults, want.faults) || (faults == "") != (want.faults == "") {
			t.Errorf("%s: got %+v, %q, %v", text, m, faults, err)
		}
	}
}

// Texts are cut between two letters, and whose story it is never.
func TestParseMetadataCutsTexts(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("ü", 100_000)
	data, err := json.Marshal(struct {
		codestory.Metadata
		UserID string `json:"user_id"`
	}{codestory.Metadata{Title: long, Description: long, Source: &codestory.Source{Repository: long},
		Chapters: []codestory.MetadataChapter{{Number: 1, Title: "x" + long}}}, long[:1024]})
	if err != nil {
		t.Fatal(err)
	}
	m, faults, err := codestory.ParseMetadata(data)
	if err != nil || !strings.Contains(faults, "4 texts") {
		t.Errorf("got %q, %v", faults, err)
	}
	for _, s := range []string{m.Title, m.Description, m.Source.Repository, m.Chapters[0].Title} {
		if len(s) > 20_000 || len(s) < 200 || !utf8.ValidString(s) {
			t.Errorf("%d bytes, valid: %t", len(s), utf8.ValidString(s))
		}
	}
	if !m.Owner.Is(long[:1024]) {
		t.Error("the owner's name is cut")
	}
}

// A user_id that is too long is nobody's: it would be kept and compared with each event and request.
func TestParseMetadataLongOwner(t *testing.T) {
	t.Parallel()
	for _, long := range []string{`"` + strings.Repeat("u", 1025) + `"`, strings.Repeat("9", 1025)} {
		m, faults, err := codestory.ParseMetadata([]byte(`{"title": "Long", "user_id": ` + long + `}`))
		if err != nil || !strings.Contains(faults, "user_id") || m.Title != "Long" {
			t.Errorf("got %q, %q, %v", m.Title, faults, err)
		}
		if after := m.OwnerAfter(codestory.Owner{}); after.Known() {
			t.Errorf("the story is owned by a name of %d bytes", len(long))
		}
		if after := m.OwnerAfter(codestory.OwnedBy("alice")); !after.Is("alice") {
			t.Error("the story lost its owner")
		}
	}
}
