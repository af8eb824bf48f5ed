package audio

import (
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/dhowden/tag"

	"github.com/codestory/codestoryd"
)

const (
	id3v1Size   = 128
	apeSize     = 32 // of its footer, and of its header
	maxTrailers = 8  // tags behind one another at the end
)

// id3Size is the size of the ID3v2 tag that begins with b, with its header; 0 where none does.
func id3Size(b []byte) int64 {
	if len(b) < 10 || string(b[:3]) != "ID3" || b[3] == 0xff || b[4] == 0xff || (b[6]|b[7]|b[8]|b[9])&0x80 != 0 {
		return 0
	}
	size := int64(b[6])<<21 | int64(b[7])<<14 | int64(b[8])<<7 | int64(b[9]) + 10
	if b[5]&0x10 != 0 {
		size += 10 // a footer
	}
	return size
}

// skipID3 is the place behind the ID3v2 tags at off.
func skipID3(w *window, off int64) int64 {
	for {
		size := id3Size(w.at(off, 10))
		if size == 0 || w.err != nil {
			return off
		}
		off = min(off+size, w.size)
	}
}

// skipTag is the place behind the tag that begins at off; off where none does.
func skipTag(w *window, off int64) int64 {
	b := w.at(off, apeSize)
	switch {
	case id3Size(b) > 0:
		return off + id3Size(b)
	case len(b) >= 3 && string(b[:3]) == "TAG" && off+id3v1Size <= w.size:
		return off + id3v1Size
	case len(b) >= apeSize && string(b[:8]) == "APETAGEX":
		return off + apeSize + int64(binary.LittleEndian.Uint32(b[12:]))
	default:
		return off
	}
}

// trailers is the end of what is no tag: ID3v1, APE and Lyrics3 stand at the end of a file.
func trailers(w *window) int64 {
	end := w.size
	for range maxTrailers {
		before := end
		if b := w.at(end-id3v1Size, id3v1Size); len(b) == id3v1Size && string(b[:3]) == "TAG" {
			end -= id3v1Size
		}
		if b := w.at(end-apeSize, apeSize); len(b) == apeSize && string(b[:8]) == "APETAGEX" {
			size := int64(binary.LittleEndian.Uint32(b[12:]))
			if binary.LittleEndian.Uint32(b[20:])&(1<<31) != 0 {
				size += apeSize // it has a header too
			}
			end = max(0, end-size)
		}
		if b := w.at(end-15, 15); len(b) == 15 && string(b[6:]) == "LYRICS200" {
			size := int64(0)
			for _, digit := range b[:6] {
				size = size*10 + int64(digit&0x0f)
			}
			end = max(0, end-15-size)
		}
		if end == before {
			break
		}
	}
	return end
}

const (
	maxTagBytes = 16 << 20
	maxTagReads = 2 << 10
	maxTitle    = 1000 // characters
)

// readTags reads the title and the cover. The library trusts what it reads: it is kept from reading much, or often, which
// bounds its memory and its loops, and a panic of it is no more than a tag that cannot be read.
func readTags(w *window, facts *codestory.Audio) {
	defer func() { _ = recover() }()
	var (
		tags tag.Metadata
		err  error
	)
	if size := id3Size(w.at(0, 10)); size > 0 {
		section := io.NewSectionReader(w.r, 0, min(size, w.size, maxTagBytes))
		tags, err = tag.ReadID3v2Tags(&rationed{section, maxTagReads})
	} else if w.size >= id3v1Size {
		tags, err = tag.ReadID3v1Tags(io.NewSectionReader(w.r, w.size-id3v1Size, id3v1Size))
	}
	if err != nil || tags == nil {
		return
	}
	facts.Title = title(tags.Title())
	if s := tags.Title(); tags.Format() == tag.ID3v1 && !utf8.ValidString(s) { // it is Latin-1, each byte a character
		latin := make([]rune, len(s))
		for i := range len(s) {
			latin[i] = rune(s[i])
		}
		facts.Title = title(string(latin))
	}
	if p := tags.Picture(); p != nil && len(p.Data) > 0 {
		facts.Cover = &codestory.AudioCover{ContentType: title(p.MIMEType), Size: int64(len(p.Data))}
	}
}

// rationed ends after so many reads.
type rationed struct {
	io.ReadSeeker
	left int
}

var errRation = errors.New("the tag has too many parts")

func (r *rationed) Read(b []byte) (int, error) {
	if r.left--; r.left < 0 {
		return 0, errRation
	}
	return r.ReadSeeker.Read(b)
}

// title makes one line of a text of a tag.
func title(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, ""))
	runes := []rune(strings.Join(strings.Fields(s), " "))
	return string(runes[:min(len(runes), maxTitle)])
}
