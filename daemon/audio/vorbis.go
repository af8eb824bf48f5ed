package audio

import (
	"encoding/binary"
	"strings"

	"github.com/codestory/codestoryd"
)

// readVorbisComment reads the title from the comments of Vorbis, Opus and FLAC (Ogg Vorbis I, section 5), as far as they are
// in b.
func readVorbisComment(b []byte, facts *codestory.Audio) {
	next := func() (text string, ok bool) {
		if len(b) < 4 {
			return "", false
		}
		n := int64(binary.LittleEndian.Uint32(b))
		if n > int64(len(b)-4) {
			return "", false
		}
		text, b = string(b[4:4+n]), b[4+n:]
		return text, true
	}
	if _, ok := next(); !ok || len(b) < 4 { // the vendor
		return
	}
	b = b[4:] // how many there are
	for {
		comment, ok := next()
		if !ok {
			return
		}
		if name, value, _ := strings.Cut(comment, "="); strings.EqualFold(name, "title") {
			setTitle(facts, value)
		}
	}
}
