package audio

import (
	"bytes"
	"encoding/binary"
	"slices"

	"github.com/codestory/codestoryd"
)

// maxPage is the largest page of Ogg (RFC 3533, section 6).
const maxPage = 27 + 255 + 255*255

// oggPage is the header of a page.
type oggPage struct {
	begins  bool   // a stream
	samples uint64 // until its end; all ones if none ends in it
	serial  uint32
	head    int64 // bytes of the header
	size    int64 // with the header
}

const noSamples = 1<<64 - 1

func parsePage(b []byte) (p oggPage, ok bool) {
	if len(b) < 27 || string(b[:4]) != "OggS" || len(b) < 27+int(b[26]) {
		return oggPage{}, false
	}
	p = oggPage{
		begins: b[5]&2 != 0, samples: binary.LittleEndian.Uint64(b[6:]), serial: binary.LittleEndian.Uint32(b[14:]),
		head: 27 + int64(b[26]),
	}
	p.size = p.head
	for _, segment := range b[27:p.head] {
		p.size += int64(segment)
	}
	return p, true
}

// oggLink is one of the chained streams of a file: what begins together, ends together.
type oggLink struct {
	serial     uint32 // of its audio
	rate, skip uint64 // samples a second, and those that are not played; rate is 0 until the audio is found
	samples    uint64 // until the end, as far as was read
	pages      int    // that begin no stream
}

func (l oggLink) seconds() float64 {
	if l.rate == 0 || l.samples <= l.skip {
		return 0
	}
	return float64(l.samples-l.skip) / float64(l.rate)
}

// readOgg goes from page to page, and adds up the chained streams (RFC 3533, RFC 7845, Vorbis I).
func readOgg(w *window, start int64, facts *codestory.Audio) {
	var link oggLink
	seconds, at := 0.0, start
	for limit := min(w.size, start+maxScan); at < limit && w.err == nil; {
		p, ok := parsePage(w.at(at, 27+255))
		if !ok {
			next := findPage(w, at+1)
			if next < 0 {
				if at == start {
					addFault(facts, truncated("it ends before its sound begins"))
				}
				break
			}
			at = next
			continue
		}
		if at+p.size > w.size {
			addFault(facts, truncated("its last page is cut off"))
			break
		}
		p.begins = p.begins || at == start
		if p.begins && link.pages > 0 {
			seconds += link.seconds()
			link = oggLink{}
		}
		link.page(w, at, p, facts)
		at += p.size
	}
	if at < w.size && link.rate > 0 { // the rest was not looked through, or is cut off
		link.samples = max(link.samples, lastSamples(w, at, link.serial))
	}
	plays(facts, seconds+link.seconds())
}

// page takes in what a page says.
func (l *oggLink) page(w *window, at int64, p oggPage, facts *codestory.Audio) {
	packet := w.at(at+p.head, int(min(p.size-p.head, maxLook)))
	if p.begins {
		if rate, skip := oggCodec(packet); rate > 0 && l.rate == 0 {
			l.serial, l.rate, l.skip = p.serial, rate, skip
		}
		return
	}
	if l.pages++; l.pages == 1 {
		if rest, ok := bytes.CutPrefix(packet, []byte("OpusTags")); ok {
			readVorbisComment(rest, facts)
		} else if rest, ok := bytes.CutPrefix(packet, []byte("\x03vorbis")); ok {
			readVorbisComment(rest, facts)
		}
	}
	if p.serial == l.serial && p.samples != noSamples {
		l.samples = max(l.samples, p.samples)
	}
}

// oggCodec is what the first packet of a stream says of its audio; 0 if it has none that is known.
func oggCodec(packet []byte) (rate, skip uint64) {
	switch {
	case bytes.HasPrefix(packet, []byte("OpusHead")) && len(packet) >= 12:
		return 48000, uint64(binary.LittleEndian.Uint16(packet[10:]))
	case bytes.HasPrefix(packet, []byte("\x01vorbis")) && len(packet) >= 16:
		return uint64(binary.LittleEndian.Uint32(packet[12:])), 0
	case bytes.HasPrefix(packet, []byte("\x7fFLAC")) && len(packet) >= 30:
		return uint64(binary.BigEndian.Uint32(packet[26:])&0xfffff0) >> 4, 0
	case bytes.HasPrefix(packet, []byte("Speex   ")) && len(packet) >= 40:
		return uint64(binary.LittleEndian.Uint32(packet[36:])), 0
	}
	return 0, 0
}

// findPage is the place of the next page; -1 if there is none near by.
func findPage(w *window, at int64) int64 {
	for end := min(w.size, at+maxLead); at < end; at += maxLook - 3 {
		if i := bytes.Index(w.at(at, maxLook), []byte("OggS")); i >= 0 {
			return at + int64(i)
		}
	}
	return -1
}

// lastSamples looks for the last page of a stream, from the end back to at.
func lastSamples(w *window, at int64, serial uint32) uint64 {
	least := max(at, w.size-2*maxPage)
	for end := w.size; end > least && w.err == nil; {
		from := max(least, end-maxLook)
		b := slices.Clone(w.at(from, int(end-from)))
		for i := bytes.LastIndex(b, []byte("OggS")); i >= 0; i = bytes.LastIndex(b[:i], []byte("OggS")) {
			if p, ok := parsePage(w.at(from+int64(i), 27+255)); ok && p.serial == serial && p.samples != noSamples {
				return p.samples
			}
		}
		if from == least {
			break
		}
		end = from + 3 // the name may lie across
	}
	return 0
}
