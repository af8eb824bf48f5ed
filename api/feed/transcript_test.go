package feed_test

import (
	"strings"
	"testing"

	"github.com/codestory/codestoryd/api/feed"
)

const vtt = "\ufeffWEBVTT - a title\r\n\r\nSTYLE\r\n::cue { color: lime }\r\n\r\n00:00.000 --> 00:04.000\r\nOne.\r\n\r\n" +
	"second\r\n00:04.000 --> 00:00:09.950 align:start\r\nTwo, <00:06.000>in parts,\r\nand lines.\r\n\r\n\r\n" +
	"00:09.950 --> 01:00:30.000\r\nThree --> four.\r\n"

func TestCutTranscript(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		from, to float64
		want     string
	}{
		{0, 10, "WEBVTT - a title\n\nSTYLE\n::cue { color: lime }\n\n00:00:00.000 --> 00:00:04.000\nOne.\n\n" +
			"second\n00:00:04.000 --> 00:00:09.950 align:start\nTwo, <00:00:06.000>in parts,\nand lines.\n"},
		{5, 10, "WEBVTT - a title\n\nSTYLE\n::cue { color: lime }\n\n" +
			"second\n00:00:00.000 --> 00:00:04.950 align:start\nTwo, <00:00:01.000>in parts,\nand lines.\n"},
		{10, 4000, "WEBVTT - a title\n\nSTYLE\n::cue { color: lime }\n\n00:00:00.000 --> 01:00:20.000\nThree --> four.\n"},
		{9000, 9001, "WEBVTT - a title\n\nSTYLE\n::cue { color: lime }\n"},
	} {
		if got := feed.CutTranscript(vtt, c.from, c.to); got != c.want {
			t.Errorf("from %v to %v: got %q, want %q", c.from, c.to, got, c.want)
		}
	}
	if got := feed.CutTranscript("", 0, 1); got != "WEBVTT\n" {
		t.Errorf("of nothing: %q", got)
	}
}

// SRT's decimal commas, and blank lines between times and text or within a text, are cut all the same.
func TestCutTranscriptOfOddForms(t *testing.T) {
	t.Parallel()
	const want = "WEBVTT\n\n2\n00:00:00.000 --> 00:00:04.000\nTwo\nand <00:00:01.500>more.\n"
	for name, text := range map[string]string{
		"commas": "WEBVTT\n\n1\n00:00:00,000 --> 00:00:04,000\nOne.\n\n2\n00:00:05,000 --> 00:00:09,000\nTwo\nand <00:00:06,500>more.\n\n" +
			"3\n00:00:10,000 --> 00:00:11,000\nThree.\n",
		"SRT": "\ufeff1\r\n00:00:00,000 --> 00:00:04,000\r\nOne.\r\n\r\n2\r\n00:00:05,000 --> 00:00:09,000\r\nTwo\r\nand <00:00:06,500>more.\r\n",
		"blank lines behind times": "WEBVTT\n\n1\n00:00.000 --> 00:04.000\n\nOne.\n\n2\n00:05.000 --> 00:09.000\n\n\nTwo\nand <00:06.500>more.\n\n" +
			"3\n00:10.000 --> 00:11.000\n\nThree.",
		"blank lines everywhere": "WEBVTT\n\n1\n\n00:00.000 --> 00:04.000\n\nOne.\n\nStill.\n\n2\n\n00:05.000 --> 00:09.000\n\nTwo\n\nand <00:06.500>more.\n\n" +
			"3\n\n00:10.000-->00:11.000\n\nThree.",
	} {
		if got := feed.CutTranscript(text, 5, 10); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	commented := "WEBVTT\n\n00:00.000 --> 00:04.000\nOne.\n\nNOTE stays\nas it is\n\n00:05.000 --> 00:09.000\nTwo.\n"
	if got, want := feed.CutTranscript(commented, 5, 10), "WEBVTT\n\nNOTE stays\nas it is\n\n00:00:00.000 --> 00:00:04.000\nTwo.\n"; got != want {
		t.Errorf("with a comment: got %q, want %q", got, want)
	}
}

// Whatever a transcript holds, what it is cut into is one.
func FuzzCutTranscript(f *testing.F) {
	f.Add(vtt, 10.0)
	f.Add("WEBVTT\n\n99999:59:59.999 --> 00:00.000\nx", 0.0)
	f.Add("WEBVTT\n\n1\n\n00:00,000-->00:04,000\n\nOne.\n\n2\n\n00:05.000 --> 00:09.000", 4.0)
	f.Add("1\n2\n00:00.000 --> 00:01.000", 1.0)
	f.Fuzz(func(t *testing.T, vtt string, at float64) {
		for _, part := range []string{feed.CutTranscript(vtt, 0, at), feed.CutTranscript(vtt, at, 1e12)} {
			if !strings.HasPrefix(part, "WEBVTT") || !strings.HasSuffix(part, "\n") || strings.ContainsRune(part, '\r') {
				t.Errorf("%q", part)
			}
		}
	})
}
