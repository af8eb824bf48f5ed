package api

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math"
	"net/url"
	"strconv"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/api/feed"
)

// A playlist names files as pieces of one stream. A piece begins with a tag that says at which time of the stream it
// does, and holds no other tags: in the middle of a stream they are errors to decoders. So its bytes are not quite the
// file's, and come through the daemon, wherever the file is.

// packed reports whether the file is of the kind that takes a stamp (RFC 8216, section 3.4), whatever its name says: MPEG audio, or
// AAC in ADTS. Before it was read its name tells. A stamp and a cut would only harm another.
func packed(f codestory.File) bool {
	return f.ContentType == "audio/aac" || f.ContentType == "audio/mpeg" && (f.Audio == nil || f.Audio.SoundSize > 0)
}

// stampedURL is the player URL of the file as a piece that begins at that time.
func (s *server) stampedURL(f codestory.File, owner codestory.Owner, seconds float64) string {
	q := url.Values{"k": {s.access.PlayKey(f.Path.Story(), owner)}, "at": {strconv.FormatInt(int64(math.Round(seconds*1000)), 10)}}
	if a := f.Audio; a != nil && a.SoundSize > 0 && a.SoundOffset+a.SoundSize <= f.Size {
		q.Set("from", strconv.FormatInt(a.SoundOffset, 10))
		q.Set("bytes", strconv.FormatInt(a.SoundSize, 10))
	}
	return s.publicURL(f.Path, q)
}

// stamped opens files as the piece that the query asks for: at= in milliseconds, from= and bytes= of the file. What is
// not in the file, since it was replaced, is left out. Its error is a *Problem.
func (s *server) stamped(q url.Values) (opener, error) {
	at, err := intParam(q, "at", 0, 0, 1<<50)
	if err != nil {
		return nil, err
	}
	from, err := intParam(q, "from", 0, 0, math.MaxInt64)
	if err != nil {
		return nil, err
	}
	length, err := intParam(q, "bytes", math.MaxInt64, 1, math.MaxInt64)
	if err != nil {
		return nil, err
	}
	stamp := feed.Stamp(float64(at) / 1000)
	return func(ctx context.Context, path codestory.Path) (*codestory.Content, error) {
		content, err := s.lib.Open(ctx, path)
		if err != nil {
			return nil, err
		}
		piece := &stampedBody{content.Body, stamp, min(int64(from), content.Size)}
		content.Size = int64(len(stamp)) + min(int64(length), content.Size-piece.from)
		content.Body = piece
		if content.ETag != "" {
			content.ETag += fmt.Sprintf("-%d-%d-%d", at, from, length)
		}
		return content, nil
	}, nil
}

// stampedBody is a stamp and, behind it, what is in a body from there on.
type stampedBody struct {
	codestory.Body
	stamp []byte
	from  int64
}

func (b *stampedBody) Range(offset, length int64) (io.Reader, error) {
	size := int64(len(b.stamp))
	if offset >= size {
		return b.Body.Range(b.from+offset-size, length)
	}
	stamp := bytes.NewReader(b.stamp[offset:min(size, offset+length)])
	if offset+length <= size {
		return stamp, nil
	}
	rest, err := b.Body.Range(b.from, offset+length-size)
	if err != nil {
		return nil, err
	}
	return io.MultiReader(stamp, rest), nil
}
