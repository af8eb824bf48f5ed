package audio

import (
	"encoding/binary"

	"github.com/codestory/codestoryd"
)

// readFLAC reads the blocks of metadata (RFC 9639, section 8), the first of which is STREAMINFO.
func readFLAC(w *window, start int64, facts *codestory.Audio) {
	b := w.at(start, 42)
	if len(b) < 42 || b[4]&0x7f != 0 {
		addFault(facts, truncated("it ends before its sound begins"))
		return
	}
	packed := binary.BigEndian.Uint64(b[18:])
	rate, samples := packed>>44, packed&(1<<36-1)
	block, last, at := uint64(binary.BigEndian.Uint16(b[8:])), b[4]&0x80 != 0, start+42
	for i := 0; !last && i < maxPieces; i++ {
		h := w.at(at, 4)
		if len(h) < 4 {
			break
		}
		kind, size := h[0]&0x7f, int64(h[1])<<16|int64(h[2])<<8|int64(h[3])
		last = h[0]&0x80 != 0
		switch block := w.at(at+4, int(min(size, maxLook))); kind {
		case 4:
			readVorbisComment(block, facts)
		case 6:
			readFLACPicture(block, facts)
		}
		at += 4 + size
	}
	if samples == 0 {
		samples = flacSamples(w, at, block)
	}
	if rate > 0 {
		plays(facts, float64(samples)/float64(rate))
	}
}

// readFLACPicture reads what stands before a picture (RFC 9639, section 8.8).
func readFLACPicture(b []byte, facts *codestory.Audio) {
	field := func() (value []byte, ok bool) { // with its length before it
		if len(b) < 4 {
			return nil, false
		}
		n := int64(binary.BigEndian.Uint32(b))
		if n > int64(len(b)-4) {
			return nil, false
		}
		value, b = b[4:4+n], b[4+n:]
		return value, true
	}
	if len(b) < 4 {
		return
	}
	b = b[4:] // what it shows
	kind, ok := field()
	if !ok || string(kind) == "-->" {
		return
	}
	if _, ok := field(); ok && len(b) >= 20 {
		setCover(facts, string(kind), int64(binary.BigEndian.Uint32(b[16:])))
	}
}
