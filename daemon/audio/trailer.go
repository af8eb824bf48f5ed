package audio

import (
	"bytes"
	"encoding/binary"
	"strings"
	"unicode/utf8"

	"github.com/codestory/codestoryd"
)

// Tags that stand behind the sound: ID3v1, APE, Lyrics3 and ID3v2 with a footer.

const (
	id3v1Size   = 128
	enhanced    = 227 // of "TAG+", before ID3v1
	apeSize     = 32  // of its footer, and of its header
	maxAPE      = 100 // items
	maxLyrics   = 5100 + 20
	maxTrailers = 8 // tags one behind the other
)

// trailers is the end of what is no tag. It notes the title of what it passes, and the place of ID3v1, which says least.
func trailers(w *window, start int64, facts *codestory.Audio) (end, id3v1 int64) {
	end, id3v1 = w.size, -1
	for range maxTrailers {
		before := end
		if b := w.at(end-id3v1Size, id3v1Size); len(b) == id3v1Size && string(b[:3]) == "TAG" {
			end -= id3v1Size
			if id3v1 < 0 {
				id3v1 = end
			}
		}
		if b := w.at(end-enhanced, 4); string(b) == "TAG+" {
			end -= enhanced
		}
		end = skipAPE(w, end, facts)
		end = skipLyrics(w, end)
		if b := w.at(end-id3v2Header, id3v2Header); len(b) == id3v2Header && string(b[:3]) == "3DI" {
			if from := end - synchsafe(b[6:]) - 2*id3v2Header; id3Size(w.at(from, id3v2Header)) > 0 && from >= start {
				readID3v2(w, from, facts)
				end = from
			}
		}
		if end = max(end, start); end == before {
			break
		}
	}
	return end, id3v1
}

// skipAPE is where the APE tag that ends at end begins; end if there is none.
func skipAPE(w *window, end int64, facts *codestory.Audio) int64 {
	b := w.at(end-apeSize, apeSize)
	if len(b) < apeSize || string(b[:8]) != "APETAGEX" {
		return end
	}
	size, items := int64(binary.LittleEndian.Uint32(b[12:])), binary.LittleEndian.Uint32(b[16:])
	from := end - size
	hasHeader := binary.LittleEndian.Uint32(b[20:])&(1<<31) != 0
	for at := from; items > 0 && items <= maxAPE && at >= 0; items-- {
		item := w.at(at, min(maxLook, int(max(0, end-apeSize-at))))
		if len(item) < 9 {
			break
		}
		length := int64(binary.LittleEndian.Uint32(item))
		key, value, ok := bytes.Cut(item[8:], []byte{0})
		if !ok || length > int64(len(value)) {
			break
		}
		if strings.EqualFold(string(key), "title") {
			setTitle(facts, string(value[:length]))
		}
		at += 8 + int64(len(key)) + 1 + length
	}
	if hasHeader {
		from -= apeSize
	}
	return max(0, from)
}

// skipLyrics is where the Lyrics3 tag that ends at end begins; end if there is none.
func skipLyrics(w *window, end int64) int64 {
	b := w.at(end-15, 15)
	if len(b) < 15 {
		return end
	}
	if string(b[6:]) == "LYRICS200" {
		size := int64(0)
		for _, digit := range b[:6] {
			size = size*10 + int64(digit&0x0f)
		}
		return max(0, end-15-size)
	}
	if string(b[6:]) == "LYRICSEND" {
		from := max(0, end-maxLyrics)
		if i := bytes.LastIndex(w.at(from, int(end-from)), []byte("LYRICSBEGIN")); i >= 0 {
			return from + int64(i)
		}
	}
	return end
}

// readID3v1 reads the title. It is Latin-1, or what else its writer took for granted: UTF-8 shows.
func readID3v1(w *window, at int64, facts *codestory.Audio) {
	b := w.at(at, id3v1Size)
	if at < 0 || len(b) < id3v1Size {
		return
	}
	text, _, _ := bytes.Cut(b[3:33], []byte{0})
	if utf8.Valid(text) {
		setTitle(facts, string(text))
	} else {
		setTitle(facts, latin1(text))
	}
}

// skipTag is the place behind the tag that begins at off; off if none does.
func skipTag(w *window, off int64) int64 {
	b := w.at(off, apeSize)
	switch {
	case id3Size(b) > 0:
		return off + id3Size(b)
	case len(b) >= 3 && string(b[:3]) == "TAG" && off+id3v1Size <= w.size:
		return off + id3v1Size
	case len(b) >= apeSize && string(b[:8]) == "APETAGEX":
		return off + apeSize + int64(binary.LittleEndian.Uint32(b[12:]))
	case bytes.HasPrefix(b, []byte("LYRICSBEGIN")):
		if i := bytes.Index(w.at(off, maxLyrics), []byte("LYRICSEND")); i >= 0 {
			return off + int64(i) + 9
		}
	}
	return off
}
