package feed_test

import (
	"math"
	"testing"

	"github.com/codestory/codestoryd/api/feed"
)

func TestPlaylist(t *testing.T) {
	t.Parallel()
	golden(t, "playlist.m3u8", feed.Playlist("Kilo", []feed.Track{
		{Title: "One, two", URL: "https://stories.example/play/x/1.mp3?k=KEY", Seconds: 14.3151},
		{Title: "Three\n#EXT-X-ENDLIST", URL: "https://stories.example/play/x/2.mp3?k=KEY", Seconds: 7, Offset: 246, Size: 4000},
	}))
	golden(t, "playlist_unknown.m3u8", feed.Playlist("Kilo", []feed.Track{
		{Title: "One", URL: "https://stories.example/play/x/1.mp3?k=KEY", Seconds: 14.3151},
		{Title: "Two", URL: "https://stories.example/play/x/2.mp3?k=KEY", Seconds: math.Inf(1)},
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
