package audio

import (
	"encoding/binary"

	"github.com/codestory/codestoryd"
)

// maxPieces bounds the chunks or boxes of one level that are gone through.
const maxPieces = 10_000

// streamedSize is the least size of sound that a program writes into a header that it cannot come back to, because it writes
// to a pipe. Sizes from 2 GiB less some kilobytes on are in use.
const streamedSize = 0x7ff00000

func isWAV(b []byte) bool {
	return len(b) >= 12 && (string(b[:4]) == "RIFF" || string(b[:4]) == "RF64") && string(b[8:12]) == "WAVE"
}

// readWAV reads the chunks of a RIFF file (Multimedia Programming Interface and Data Specifications 1.0).
func readWAV(w *window, start int64, facts *codestory.Audio) {
	var perSecond uint32
	var large int64 // the size of the sound of RF64
	heard, files := false, 1
	for at, i := start+12, 0; i < maxPieces && w.err == nil; i++ {
		b := w.at(at, 24)
		if len(b) < 8 {
			break
		}
		size, left := int64(binary.LittleEndian.Uint32(b[4:])), w.size-at-8
		switch name := string(b[:4]); {
		case name == "ds64" && len(b) >= 24:
			large = int64(binary.LittleEndian.Uint64(b[16:]) &^ (1 << 63))
		case name == "fmt " && len(b) >= 20 && !heard:
			perSecond = binary.LittleEndian.Uint32(b[16:])
		case name == "data" && !heard:
			heard = true
			if size == 0xffffffff && large > 0 {
				size = large
			}
			if size == 0 || size > left && size >= streamedSize && large == 0 {
				size = left
			}
			if size > left {
				addFault(facts, truncated("its sound is cut off"))
			}
			if perSecond > 0 {
				facts.Bitrate = int(perSecond) * 8
				plays(facts, float64(min(size, left))/float64(perSecond))
			}
		case heard && isWAV(w.at(at, 12)):
			files++
		}
		if size > left {
			break
		}
		at += 8 + size + size&1
	}
	if files > 1 {
		addFault(facts, concatenated(files))
	}
	if !heard {
		addFault(facts, truncated("it ends before its sound begins"))
	}
}
