package feed

import (
	"fmt"
	"math"
	"strings"
)

// PlaylistType is the content type of a playlist.
const PlaylistType = "application/vnd.apple.mpegurl"

// Track is one entry of a playlist.
type Track struct {
	Title   string
	URL     string
	Seconds float64 // it plays; 0 where that is not known
	// Stamped is the URL of its sound behind a Stamp of that time, for HLS; nil for a file that takes none, whose URL stands there.
	Stamped func(seconds float64) string
}

// Playlist writes tracks in their order. Where it is known how long each plays it is an HLS media playlist (RFC 8216),
// which plays as one piece, with titles that players of M3U show; else it is an M3U alone, since HLS cannot do without.
func Playlist(title string, tracks []Track) []byte {
	longest, hls := 0.0, len(tracks) > 0
	for _, t := range tracks {
		longest, hls = max(longest, t.Seconds), hls && known(t.Seconds)
	}
	var b strings.Builder
	b.WriteString("#EXTM3U\n")
	if hls {
		fmt.Fprintf(&b, "#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:%d\n#EXT-X-MEDIA-SEQUENCE:0\n#EXT-X-PLAYLIST-TYPE:VOD\n",
			int64(math.Ceil(longest)))
	}
	fmt.Fprintf(&b, "#PLAYLIST:%s\n", line(title))
	at := 0.0
	for _, t := range tracks {
		seconds, url := "-1", t.URL
		if known(t.Seconds) {
			seconds = fmt.Sprintf("%.3f", t.Seconds)
		}
		if hls && t.Stamped != nil {
			url = t.Stamped(at)
		}
		at += t.Seconds
		fmt.Fprintf(&b, "#EXTINF:%s,%s\n%s\n", seconds, line(t.Title), url)
	}
	if hls {
		b.WriteString("#EXT-X-ENDLIST\n")
	}
	return []byte(b.String())
}
