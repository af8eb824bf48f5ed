package feed_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/mmcdole/gofeed"

	"github.com/codestory/codestoryd/api/feed"
)

var update = flag.Bool("update", false, "write the golden files")

const hostile = "A & B < C > \"D\" 'E' 🎧 é ]]> \x00\x07\x1b[31m \ufffe \xff \u2028 end"

var podcast = feed.Podcast{
	Title: "Kilo & friends", Description: "Two\nlines.", Language: "de-CH",
	Link: "https://example.com/?a=1&b=2", Self: "https://stories.example/feed/x.xml?k=KEY", GUID: "3f0e8a52-6c1b-4d7e-9a34-5b2c8d917e06",
	Image: "https://stories.example/play/x/cover.jpg?k=KEY", Serial: true, Published: time.Date(2026, 1, 12, 10, 30, 0, 0, time.FixedZone("", 3600)),
	Episodes: []feed.Episode{
		{
			GUID: "x/chapters/chapter_01.mp3", Title: "One", Number: 1, Seconds: 61.5, Published: time.Date(2026, 1, 12, 9, 30, 0, 0, time.UTC),
			Audio:    feed.Enclosure{URL: "https://stories.example/play/x/chapters/chapter_01.mp3?k=KEY", ContentType: "audio/mpeg", Size: 12345},
			Image:    "https://stories.example/play/x/cover.jpg?k=KEY",
			Chapters: "https://stories.example/feed/x.chapters.json?chapter=1&k=KEY",
			Transcript: feed.Transcript{URL: "https://stories.example/play/x/chapters/chapter_01.vtt?k=KEY",
				ContentType: "text/vtt", Language: "de-CH"},
		},
		{
			GUID: "x/chapters/chapter_02.mp3", Title: hostile, Description: hostile, Seconds: 0.2, Published: time.Date(2026, 1, 12, 9, 30, 1, 0, time.UTC),
			Audio: feed.Enclosure{URL: "https://stories.example/play/x/chapters/chapter_02.mp3?k=KEY", ContentType: "audio/mpeg"},
		},
	},
}

func write(t *testing.T, p feed.Podcast) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := p.Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// golden holds what was written against a file of testdata.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if want = bytes.ReplaceAll(want, []byte("\r\n"), []byte("\n")); !bytes.Equal(got, want) {
		t.Errorf("%s: got\n%s\nwant\n%s", name, got, want)
	}
}

func TestPodcast(t *testing.T) {
	t.Parallel()
	golden(t, "podcast.xml", write(t, podcast))
}

// A parser of another house finds everything where it looks for it.
func TestPodcastParses(t *testing.T) {
	t.Parallel()
	got, err := gofeed.NewParser().Parse(bytes.NewReader(write(t, podcast)))
	if err != nil {
		t.Fatal(err)
	}
	if got.Title != podcast.Title || got.Description != podcast.Description || got.Link != podcast.Link ||
		got.FeedLink != podcast.Self || got.Language != "de-ch" || got.ITunesExt.Image != podcast.Image ||
		got.ITunesExt.Type != "serial" || got.ITunesExt.Categories[0].Text != "Technology" || got.ITunesExt.Explicit != "false" ||
		!got.PublishedParsed.Equal(podcast.Published) || got.Extensions["podcast"]["guid"][0].Value != podcast.GUID {
		t.Errorf("the podcast is %+v", got)
	}
	one, two := got.Items[0], got.Items[1]
	if one.GUID != "x/chapters/chapter_01.mp3" || one.Title != "One" || one.ITunesExt.Duration != "62" || one.ITunesExt.Episode != "1" ||
		!one.PublishedParsed.Equal(podcast.Episodes[0].Published) || one.Enclosures[0].URL != podcast.Episodes[0].Audio.URL ||
		one.Enclosures[0].Length != "12345" || one.Enclosures[0].Type != "audio/mpeg" {
		t.Errorf("the first episode is %+v", one)
	}
	if c := one.Extensions["podcast"]["chapters"][0].Attrs; c["url"] != podcast.Episodes[0].Chapters || c["type"] != feed.ChaptersType {
		t.Errorf("its chapters are %v", c)
	}
	if c := one.Extensions["podcast"]["transcript"][0].Attrs; c["url"] != podcast.Episodes[0].Transcript.URL || c["type"] != "text/vtt" {
		t.Errorf("its transcript is %v", c)
	}
	if want := `A & B < C > "D" 'E' 🎧 é ]]> [31m end`; two.Title != want || two.ITunesExt.Duration != "1" {
		t.Errorf("the second episode is %q of %s s, want %q", two.Title, two.ITunesExt.Duration, want)
	}
}

// A podcast has what its readers insist on, even where nothing is known.
func TestPodcastOfNothing(t *testing.T) {
	t.Parallel()
	got := string(write(t, feed.Podcast{Title: "T", Language: `en"><x`, Episodes: []feed.Episode{{Title: "E", Seconds: -3}}}))
	for _, want := range []string{"<language>en</language>", "<description>T</description>", "<description>E</description>", `length="0"`} {
		if !strings.Contains(got, want) {
			t.Errorf("no %s in %s", want, got)
		}
	}
	for _, not := range []string{"itunes:duration", "pubDate", "itunes:image", "podcast:guid", "podcast:chapters"} {
		if strings.Contains(got, not) {
			t.Errorf("%s in %s", not, got)
		}
	}
}

func TestPodcastLanguage(t *testing.T) {
	t.Parallel()
	for tag, want := range map[string]string{
		"de": "de", "de_DE": "de-de", "de-CH": "de-ch", "zh_Hant_TW": "zh-hant-tw", "pt_BR.UTF-8": "pt-br", "de_DE@euro": "de-de",
		"": "en", "C": "en", "POSIX_": "en", "d": "en", "de-": "en", "Deutsch (DE)": "en",
	} {
		if got := string(write(t, feed.Podcast{Language: tag})); !strings.Contains(got, "<language>"+want+"</language>") {
			t.Errorf("%q: no %s in %s", tag, want, got)
		}
	}
}

// Whatever stands in a title: the feed is well-formed, holds no character that XML forbids, and says the same twice.
func FuzzText(f *testing.F) {
	for _, seed := range []string{"", "plain", hostile, "\r\n\t", "<![CDATA[x]]>", "&#0;", strings.Repeat("\ud7ff\ue000\ufffd", 3)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p := feed.Podcast{Title: text, Description: text, Language: text, GUID: text, Image: text, Episodes: []feed.Episode{
			{Title: text, Description: text, Audio: feed.Enclosure{URL: text, ContentType: text}, Chapters: text}}}
		var b bytes.Buffer
		if err := p.Write(&b); err != nil {
			t.Fatal(err)
		}
		if !utf8.Valid(b.Bytes()) {
			t.Fatalf("%q: not UTF-8", text)
		}
		d := xml.NewDecoder(&b)
		for {
			if _, err := d.Token(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("%q: %v", text, err)
			}
		}
		lines := strings.Split(string(feed.Playlist(text, []feed.Track{{Title: text, URL: "u"}})), "\n")
		if len(lines) != 5 || lines[3] != "u" {
			t.Fatalf("%q: the playlist is %q", text, lines)
		}
	})
}
