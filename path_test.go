package codestory_test

import (
	"errors"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/codestory/codestoryd"
)

const kilo = "3f0e8a52-6c1b-4d7e-9a34-5b2c8d917e06"

func TestParsePath(t *testing.T) {
	t.Parallel()
	const ok = codestory.PathFault(-1)
	for name, want := range map[string]codestory.PathFault{
		kilo + "/audio/story.mp3":    ok,
		kilo + "/a b+c%d(e)#f?.mp3":  ok,
		kilo + "/tmp":                ok,
		kilo + "/ünïcode/😀":          ok,
		strings.ToUpper(kilo) + "/x": ok,
		kilo + "/" + strings.Repeat("x", 1024-len("stories/")-37): ok,
		kilo + "/" + strings.Repeat("x", 1025-len("stories/")-37): codestory.PathUnstorable,
		kilo + "/a\xff.mp3":   codestory.PathUnstorable,
		kilo + `/one\two.mp3`: codestory.PathUnstorable,
		kilo + "/a\nb":        codestory.PathUnstorable,
		kilo + "/a\tb/c.mp3":  codestory.PathUnstorable,
		kilo + "/a\x7fb":      codestory.PathUnstorable,
		kilo + "/a\u0085b":    codestory.PathUnstorable,
		"":                    codestory.PathInvalid,
		"/" + kilo + "/x":     codestory.PathInvalid,
		kilo + "/":            codestory.PathInvalid,
		kilo + "//x":          codestory.PathInvalid,
		kilo + "/../x":        codestory.PathInvalid,
		kilo + "/./x":         codestory.PathInvalid,
		kilo + "/a\x00b":      codestory.PathInvalid,
		"..":                  codestory.PathInvalid,
		kilo:                  codestory.PathIgnored,
		"notes.txt":           codestory.PathIgnored,
		kilo + "0/x":          codestory.PathIgnored,
		strings.ReplaceAll(kilo, "-", "_") + "/x": codestory.PathIgnored,
		kilo + "/.hidden":                         codestory.PathIgnored,
		kilo + "/.git/config":                     codestory.PathIgnored,
		kilo + "/x.tmp":                           codestory.PathIgnored,
		kilo + "/x.part":                          codestory.PathIgnored,
		kilo + "/x.partial":                       codestory.PathIgnored,
		kilo + "/x.crdownload":                    codestory.PathIgnored,
		kilo + "/x~":                              codestory.PathIgnored,
		kilo + "/x.swp":                           codestory.PathIgnored,
		kilo + "/chapters.tmp/x.mp3":              codestory.PathIgnored,
	} {
		path, err := codestory.ParsePath(name)
		if want == ok {
			if err != nil || string(path) != name || path.Key() != "stories/"+name {
				t.Errorf("ParsePath(%q) = %q, %v", name, path, err)
			}
			continue
		}
		if fault, is := errors.AsType[*codestory.PathError](err); !is || fault.Fault != want || fault.Reason == "" {
			t.Errorf("ParsePath(%q) = %q, %v; want fault %d", name, path, err, want)
		}
	}
}

// What ParsePath lets through is below the directory, storable, and means the same when it is read again.
func FuzzParsePath(f *testing.F) {
	for _, name := range []string{kilo + "/audio/story.mp3", kilo + "/../x", "/etc/passwd", kilo + "/a\x00", kilo + "/\xff", "..", kilo} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		path, err := codestory.ParsePath(name)
		if err != nil {
			if _, ok := errors.AsType[*codestory.PathError](err); !ok {
				t.Fatalf("error of another type: %v", err)
			}
			return
		}
		if string(path) != name || !utf8.ValidString(name) || len(path.Key()) > codestory.MaxKeyBytes {
			t.Fatalf("%q was let through as %q", name, path)
		}
		for _, e := range strings.Split(name, "/") {
			if e == "" || e == "." || e == ".." || strings.ContainsRune(e, 0) {
				t.Fatalf("%q was let through with the element %q", name, e)
			}
		}
		if string(path.Story())+"/"+path.InStory() != name {
			t.Fatalf("%q is taken apart as %q and %q", name, path.Story(), path.InStory())
		}
		if n := path.Chapter(); n < 0 || n != 0 && codestory.ChapterPath(path.Story(), n).Chapter() != n {
			t.Fatalf("%q is taken for chapter %d", name, n)
		}
		if strings.ContainsFunc(name, func(r rune) bool { return r == '\\' || unicode.IsControl(r) }) {
			t.Fatalf("%q was let through", name)
		}
	})
}

func TestPathsOfAStory(t *testing.T) {
	t.Parallel()
	const id = codestory.StoryID(kilo)
	for path, want := range map[codestory.Path]struct {
		key           string
		chapter, rank int
		contentType   string
	}{
		codestory.MetadataPath(id):                 {"/metadata.json", 0, 0, "application/json"},
		codestory.ChapterPath(id, 1):               {"/chapters/chapter_01.mp3", 1, 1, "audio/mpeg"},
		codestory.StoryAudioPath(id):               {"/audio/story.mp3", 0, 2, "audio/mpeg"},
		codestory.ChapterPath(id, 100):             {"/chapters/chapter_100.mp3", 100, 3, "audio/mpeg"},
		kilo + "/chapters/chapter_1.mp3":           {"/chapters/chapter_1.mp3", 1, 1, "audio/mpeg"},
		kilo + "/chapters/chapter_001.mp3":         {"/chapters/chapter_001.mp3", 1, 1, "audio/mpeg"},
		kilo + "/chapters/chapter_0100.mp3":        {"/chapters/chapter_0100.mp3", 100, 3, "audio/mpeg"},
		kilo + "/chapters/chapter_+1.mp3":          {"/chapters/chapter_+1.mp3", 0, 3, "audio/mpeg"},
		kilo + "/chapters/chapter_99999999999.mp3": {"/chapters/chapter_99999999999.mp3", 0, 3, "audio/mpeg"},
		kilo + "/chapters/chapter_00.mp3":          {"/chapters/chapter_00.mp3", 0, 3, "audio/mpeg"},
		kilo + "/COVER.JPG":                        {"/COVER.JPG", 0, 3, "image/jpeg"},
		kilo + "/transcript.vtt":                   {"/transcript.vtt", 0, 3, "text/vtt; charset=utf-8"},
		kilo + "/what.is.this":                     {"/what.is.this", 0, 3, "application/octet-stream"},
	} {
		if got := path.Key(); got != "stories/"+kilo+want.key {
			t.Errorf("%s has the key %s", path, got)
		}
		if got := path.Chapter(); got != want.chapter {
			t.Errorf("%s is chapter %d, want %d", path, got, want.chapter)
		}
		if got := path.Rank(); got != want.rank {
			t.Errorf("%s has rank %d, want %d", path, got, want.rank)
		}
		if got := path.ContentType(); got != want.contentType {
			t.Errorf("%s has the type %s, want %s", path, got, want.contentType)
		}
	}
}

func TestParseMetadata(t *testing.T) {
	t.Parallel()
	m, faults, err := codestory.ParseMetadata([]byte(`{"title": "T", "user_id": "ada", "created_at": "2026-02-03T16:05:00Z",
		"chapters": [{"number": 1, "duration_seconds": 61.5}], "unknown": {"kept": "in the file"}}`))
	if err != nil || faults != "" || m.Title != "T" || !m.Owner.Is("ada") || m.CreatedAt.Year() != 2026 || *m.Chapters[0].DurationSeconds != 61.5 {
		t.Errorf("%+v, %q, %v", m, faults, err)
	}
	m, faults, err = codestory.ParseMetadata([]byte(`{"user_id": "ada", "title": 5, "created_at": "yesterday", "language": "en"}`))
	if err != nil || !m.Owner.Is("ada") || m.Title != "" || m.Language != "en" || !strings.HasPrefix(faults, "metadata.json: title is not text; created_at is not a time") {
		t.Errorf("with fields that do not fit: %+v, %q, %v", m, faults, err)
	}
	for _, bad := range []string{"", "{", "[]", `"text"`, strings.Repeat(" ", codestory.MaxMetadataBytes) + "{}"} {
		if m, _, err := codestory.ParseMetadata([]byte(bad)); err == nil || !strings.HasPrefix(err.Error(), "metadata.json ") {
			t.Errorf("%.20q: %+v, %v", bad, m, err)
		}
	}
}

func TestClassOf(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		err  error
		want codestory.Class
	}{
		{errors.New("who knows"), codestory.ClassRetry},
		{codestory.Block("rename it", nil), codestory.ClassBlock},
		{codestory.Pause(codestory.RemoteFull, "full", errors.New("507")), codestory.ClassPause},
		{errors.Join(errors.New("putting x"), codestory.Pause(codestory.RemoteFull, "full", nil)), codestory.ClassPause},
	} {
		if got := codestory.ClassOf(t.Context(), tc.err); got != tc.want {
			t.Errorf("%v is of class %d, want %d", tc.err, got, tc.want)
		}
	}
}
