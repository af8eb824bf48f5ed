package codestory_test

import (
	"encoding/json"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"
	"unicode/utf16"
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

// What generators write beside the plain form is read as it is meant.
func TestParseMetadataIsTolerant(t *testing.T) {
	t.Parallel()
	const plain = `{"title": "T", "user_id": "ada", "chapters": [{"number": 1, "title": "Öne 😀"}, {"number": 2, "title": "Two"}]}`
	for name, data := range map[string]string{
		"a byte order mark":       "\ufeff" + plain,
		"UTF-16, little":          inUTF16(plain, 0, 8),
		"UTF-16, big":             inUTF16(plain, 8, 0),
		"numbers in strings":      strings.NewReplacer(`: 1,`, `: "1",`, `: 2,`, `: " 02 ",`).Replace(plain),
		"numbers with a fraction": strings.NewReplacer(`: 1,`, `: 1.0,`, `: 2,`, `: "2.0",`).Replace(plain),
		"without numbers":         strings.NewReplacer(`"number": 1,`, ``, `"number": 2,`, `"number": null,`).Replace(plain),
		"no numbers": strings.NewReplacer(`: 1,`, `: 1, "duration_seconds": NaN,`, `: 2,`, `: Infinity, "duration_seconds": -Infinity,`).
			Replace(plain),
		"durations of nothing": strings.NewReplacer(`: 1,`, `: 1, "duration_seconds": 0,`, `: 2,`, `: 2, "duration_seconds": -3.5,`).
			Replace(plain),
	} {
		m, faults, err := codestory.ParseMetadata([]byte(data))
		if err != nil || faults != "" || m.Title != "T" || !m.Owner.Is("ada") || len(m.Chapters) != 2 ||
			m.Chapters[0] != (codestory.MetadataChapter{Number: 1, Title: "Öne 😀"}) ||
			m.Chapters[1] != (codestory.MetadataChapter{Number: 2, Title: "Two"}) {
			t.Errorf("%s: %+v, %q, %v", name, m, faults, err)
		}
	}
	m, _, err := codestory.ParseMetadata([]byte(`{"title": "NaN \" Infinity", "description": "\\", "language": NaN}`))
	if err != nil || m.Title != `NaN " Infinity` || m.Description != `\` {
		t.Errorf("words in strings: %+v, %v", m, err)
	}
	for _, bad := range []string{`{NaN: 1}`, `{"title": 1NaN}`, `{"title": "NaN}`, "\xff\xfe{\x00}", `{"title": nan}`} {
		if m, _, err := codestory.ParseMetadata([]byte(bad)); err == nil {
			t.Errorf("%q: %+v", bad, m)
		}
	}
}

// inUTF16 encodes a text behind a byte order mark. The two bytes of a unit are shifted by so much.
func inUTF16(text string, first, second int) string {
	var b []byte
	for _, unit := range utf16.Encode([]rune("\ufeff" + text)) {
		b = append(b, byte(unit>>first), byte(unit>>second))
	}
	return string(b)
}

func TestParseMetadataTimes(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 12, 9, 30, 0, 0, time.UTC)
	for text, want := range map[string]time.Time{
		`"2026-01-12T09:30:00Z"`:          at,
		`"2026-01-12T09:30:00"`:           at,
		`"2026-01-12"`:                    at.Truncate(24 * time.Hour),
		`"2026-01-12 09:30:00"`:           at,
		`"2026-01-12T09:30:00+0000"`:      at,
		`"2026-01-12T11:30:00+0200"`:      at,
		`"2026-01-12 10:30:00+01"`:        at,
		`"2026-01-12 09:30:00 +00:00"`:    at,
		`" 2026-01-12t09:30:00.250000z "`: at.Add(250 * time.Millisecond),
		`"2026-01-12 09:30:00.250 UTC"`:   at.Add(250 * time.Millisecond),
		`1768210200`:                      at,
		`1768210200.25`:                   at.Add(250 * time.Millisecond),
		`"1768210200"`:                    at,
		`1.7682102e9`:                     at,
		`""`:                              {},
		`null`:                            {},
		`"yesterday"`:                     {},
		`"2026"`:                          {},
		`"2026-02-30"`:                    {},
		`1768210200000`:                   {},
		`1e300`:                           {},
		`["2026-01-12"]`:                  {},
		`253402300800`:                    {},
		`"9999-12-31T23:59:59-24:00"`:     {},
	} {
		m, faults, err := codestory.ParseMetadata([]byte(`{"title": "T", "created_at": ` + text + `}`))
		bad := want.IsZero() && text != `""` && text != "null"
		if err != nil || m.Title != "T" || m.CreatedAt != want || (faults != "") != bad || bad && !strings.Contains(faults, "created_at is not a time") {
			t.Errorf("%s: got %v, %q, %v; want %v", text, m.CreatedAt, faults, err, want)
		}
	}
}

// A field that does not fit costs that field alone, and is named once.
func TestParseMetadataNamesFields(t *testing.T) {
	t.Parallel()
	m, faults, err := codestory.ParseMetadata([]byte(`{"title": "T", "user_id": ["ada"], "source": {"repository": 7, "commit": "c0ffee"}, "chapters": [
		{"number": 1, "title": "One", "duration_seconds": "14.3"}, {"number": 2, "title": 2, "duration_seconds": 7.4, "file": "02-two.mp3"},
		{"number": "three", "title": "Three", "duration_seconds": "12"}, {"title": "Taken"}, {"number": 4, "duration_seconds": true}, "six"]}`))
	if err != nil || m.Title != "T" || m.Owner.Known() || m.Unowned || m.Source.Repository != "" || m.Source.Commit != "c0ffee" {
		t.Errorf("%+v, %v", m, err)
	}
	want := `[{"number":1,"title":"One"},{"number":2,"duration_seconds":7.4,"file":"02-two.mp3"},` +
		`{"number":3,"title":"Three","duration_seconds":12},{"number":0,"title":"Taken"},{"number":4},{"number":0}]`
	if got, err := json.Marshal(m.Chapters); err != nil || string(got) != want {
		t.Errorf("chapters: %s, want %s", got, want)
	}
	if want := "metadata.json: source.repository is not text; user_id is neither text nor a number; " +
		"chapters[0].duration_seconds is not a number (and in 1 more chapters); chapters[1].title is not text; " +
		"chapters[2].number is not a whole number from 1 on; chapters[5] is not an object; " +
		"chapters[3].number is absent, and its position is the number of another chapter"; faults != want {
		t.Errorf("faults: %q, want %q", faults, want)
	}
}

// Whatever a metadata.json holds, what is read of it can be kept.
func FuzzParseMetadata(f *testing.F) {
	f.Add([]byte(`{"created_at": 1e11, "chapters": [{"duration_seconds": 1e999, "number": "9e9"}, null, {}], "source": {}}`))
	f.Add([]byte("\ufeff{\"created_at\": \"0001-01-01T00:00:00+14:00\", \"user_id\": NaN}"))
	f.Add([]byte(`{"created_at": "9999-12-31T23:59:59-23:59"}`))
	f.Add([]byte(inUTF16(`{"title": "T", "chapters": [{"title": "\ud800"}]}`, 0, 8)))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, _, err := codestory.ParseMetadata(data)
		if err != nil {
			return
		}
		if m.Owner.Known() && m.Unowned || len(m.Chapters) > codestory.MaxChapters {
			t.Errorf("%+v", m)
		}
		b, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(b, &m); err != nil {
			t.Errorf("%s: %v", b, err)
		}
	})
}
