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
	Offset  int64   // where in the file its sound begins, and how many bytes it has; both 0 where that is not known
	Size    int64
}

// Playlist writes tracks in their order. Where it is known how long each plays it is an HLS media playlist (RFC 8216),
// which plays as one piece, with titles that players of M3U show; else it is an M3U alone, since HLS cannot do without.
func Playlist(title string, tracks []Track) []byte {
	var b strings.Builder
	b.WriteString("#EXTM3U\n")
	longest, hls := 0.0, len(tracks) > 0
	for _, t := range tracks {
		longest, hls = max(longest, t.Seconds), hls && known(t.Seconds)
	}
	if hls {
		fmt.Fprintf(&b, "#EXT-X-VERSION:4\n#EXT-X-TARGETDURATION:%d\n#EXT-X-MEDIA-SEQUENCE:0\n#EXT-X-PLAYLIST-TYPE:VOD\n",
			int64(math.Ceil(longest)))
	}
	fmt.Fprintf(&b, "#PLAYLIST:%s\n", line(title))
	for i, t := range tracks {
		if hls && i > 0 {
			b.WriteString("#EXT-X-DISCONTINUITY\n") // each file begins its own time at 0
		}
		seconds := "-1"
		if known(t.Seconds) {
			seconds = fmt.Sprintf("%.3f", t.Seconds)
		}
		fmt.Fprintf(&b, "#EXTINF:%s,%s\n", seconds, line(t.Title))
		if hls && t.Size > 0 {
			fmt.Fprintf(&b, "#EXT-X-BYTERANGE:%d@%d\n", t.Size, t.Offset) // tags between the pieces are errors to decoders
		}
		b.WriteString(t.URL + "\n")
	}
	if hls {
		b.WriteString("#EXT-X-ENDLIST\n")
	}
	return []byte(b.String())
}
