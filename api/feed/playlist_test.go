package feed_test

import (
	"fmt"
	"math"
	"testing"

	"github.com/codestory/codestoryd/api/feed"
)

// stamped is where a track is to be had behind a stamp.
func stamped(seconds float64) string { return fmt.Sprintf("https://stories.example/at/%.3f", seconds) }

func TestPlaylist(t *testing.T) {
	t.Parallel()
	golden(t, "playlist.m3u8", feed.Playlist("Kilo", []feed.Track{
		{Title: "One, two", URL: "https://stories.example/1.mp3", Seconds: 14.3151, Segment: stamped},
		{Title: "Three\n#EXT-X-ENDLIST", URL: "https://stories.example/2.mp3", Seconds: 7, Segment: stamped},
	}))
	golden(t, "playlist_unknown.m3u8", feed.Playlist("Kilo", []feed.Track{
		{Title: "One", URL: "https://stories.example/1.mp3", Seconds: 14.3151, Segment: stamped},
		{Title: "Two", URL: "https://stories.example/2.mp3", Seconds: math.Inf(1), Segment: stamped},
	}))
	if got, want := string(feed.Playlist("", nil)), "#EXTM3U\n#PLAYLIST:\n"; got != want {
		t.Errorf("of nothing: got %q, want %q", got, want)
	}
}

func TestChapters(t *testing.T) {
	t.Parallel()
	tracks := []feed.Track{{Title: "One", Seconds: 14.315}, {Title: "Two <&>", Seconds: 14.446}, {Title: "Three"}, {Title: "Four", Seconds: 3}}
	golden(t, "chapters.json", feed.NewChapters("Kilo", tracks).JSON())
	golden(t, "chapters_none.json", feed.NewChapters("Kilo", nil).JSON())
}

func TestTimestamp(t *testing.T) {
	t.Parallel()
	const want = "ID3\x04\x00\x00\x00\x00\x00\x3fPRIV\x00\x00\x00\x35\x00\x00com.apple.streaming.transportStreamTimestamp\x00" +
		"\x00\x00\x00\x00\x00\x01\x5f\x90"
	if got := string(feed.Timestamp(1)); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if a, b := string(feed.Timestamp(1)), string(feed.Timestamp(1+(1<<33)/90000.0)); a != b {
		t.Errorf("after 26 hours the time begins anew: got %q and %q", a, b)
	}
}
