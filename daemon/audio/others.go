package audio

import (
	"bytes"
	"encoding/binary"

	"github.com/codestory/codestoryd"
)

// What of the other formats stands at a known place. A library for each would be more code than this.

// maxPieces bounds the chunks or boxes that are gone through.
const maxPieces = 10_000

// readWAV reads the chunks of a RIFF file (Multimedia Programming Interface and Data Specifications 1.0).
func readWAV(w *window, facts *codestory.Audio) {
	var perSecond uint32
	for at, i := int64(12), 0; i < maxPieces; i++ {
		b := w.at(at, 20)
		if len(b) < 8 {
			facts.Faults = append(facts.Faults, truncated("it ends before its sound begins"))
			return
		}
		size, left := int64(binary.LittleEndian.Uint32(b[4:])), w.size-at-8
		switch string(b[:4]) {
		case "fmt ":
			if len(b) == 20 {
				perSecond = binary.LittleEndian.Uint32(b[16:])
			}
		case "data":
			if size == 0xffffffff || size == 0 { // of one that was written into a pipe
				size = left
			}
			if size > left {
				facts.Faults = append(facts.Faults, truncated("its sound is cut off"))
			}
			if perSecond > 0 {
				facts.SoundOffset, facts.SoundSize = at+8, min(size, left)
				plays(facts, float64(min(size, left))/float64(perSecond))
			}
			return
		}
		at += 8 + size + size&1
	}
}

// readFLAC reads STREAMINFO, which is always the first block (RFC 9639, section 8.2).
func readFLAC(w *window, facts *codestory.Audio) {
	b := w.at(0, 42)
	if len(b) < 42 || b[4]&0x7f != 0 {
		facts.Faults = append(facts.Faults, truncated("it ends before its sound begins"))
		return
	}
	packed := binary.BigEndian.Uint64(b[18:])
	rate, samples := packed>>44, packed&(1<<36-1)
	if rate > 0 {
		plays(facts, float64(samples)/float64(rate))
	}
}

// maxPage is the largest page of Ogg (RFC 3533, section 6).
const maxPage = 27 + 255 + 255*255

// readOgg reads the first page and the last, which says how many samples there are (RFC 3533, RFC 7845, Vorbis I).
func readOgg(w *window, facts *codestory.Audio) {
	first := bytes.Clone(w.at(0, 27+255+64))
	if len(first) < 28 || len(first) < 27+int(first[26])+20 {
		facts.Faults = append(facts.Faults, truncated("it ends before its sound begins"))
		return
	}
	packet := first[27+int(first[26]):]
	rate, skip := uint64(0), uint64(0)
	switch {
	case bytes.HasPrefix(packet, []byte("OpusHead")):
		rate, skip = 48000, uint64(binary.LittleEndian.Uint16(packet[10:]))
	case bytes.HasPrefix(packet, []byte("\x01vorbis")):
		rate = uint64(binary.LittleEndian.Uint32(packet[12:]))
	}
	serial := first[14:18]
	for end, least := w.size, max(0, w.size-2*maxPage); rate > 0 && end > least; {
		from := max(least, end-maxLook)
		b := bytes.Clone(w.at(from, int(end-from)))
		i := bytes.LastIndex(b, []byte("OggS"))
		for ; i >= 0; i = bytes.LastIndex(b[:i], []byte("OggS")) {
			page := w.at(from+int64(i), 27)
			if len(page) < 27 || !bytes.Equal(page[14:18], serial) {
				continue
			}
			if samples := binary.LittleEndian.Uint64(page[6:]); samples != 1<<64-1 && samples > skip {
				plays(facts, float64(samples-skip)/float64(rate))
				return
			}
		}
		end = from + 3 // the name may lie across
		if from == least {
			return
		}
	}
}

// readMP4 looks for the header of the movie (ISO/IEC 14496-12, section 8.2.2).
func readMP4(w *window, facts *codestory.Audio) {
	at, end, found := findBox(w, 0, w.size, "moov")
	if !found {
		facts.Faults = append(facts.Faults, truncated("it has no index (moov)"))
		return
	}
	at, _, found = findBox(w, at, end, "mvhd")
	b := w.at(at, 32)
	if !found || len(b) < 32 {
		return
	}
	scale, duration := uint64(binary.BigEndian.Uint32(b[12:])), uint64(binary.BigEndian.Uint32(b[16:]))
	if b[0] == 1 {
		scale, duration = uint64(binary.BigEndian.Uint32(b[20:])), binary.BigEndian.Uint64(b[24:])
	}
	if scale > 0 {
		plays(facts, float64(duration)/float64(scale))
	}
}

// findBox is the content of the first box of that name between from and to.
func findBox(w *window, from, to int64, name string) (start, end int64, found bool) {
	for range maxPieces {
		b := w.at(from, 16)
		if len(b) < 16 || from+8 > to {
			return 0, 0, false
		}
		size, head := int64(binary.BigEndian.Uint32(b)), int64(8)
		switch size {
		case 0:
			size = to - from
		case 1:
			size, head = int64(binary.BigEndian.Uint64(b[8:])), 16
		}
		if size < head || size > to-from {
			return 0, 0, false
		}
		if string(b[4:8]) == name {
			return from + head, from + size, true
		}
		from += size
	}
	return 0, 0, false
}
