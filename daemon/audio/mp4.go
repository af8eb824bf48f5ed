package audio

import (
	"encoding/binary"
	"strings"

	"github.com/codestory/codestoryd"
)

// maxBoxes bounds the boxes of one level that are gone through: a file of fragments has several for each.
const maxBoxes = 1 << 20

// box is one of a file of ISO/IEC 14496-12: its content stands from start to end.
type box struct {
	name       string
	start, end int64
}

// eachBox calls visit with the boxes that stand from there to there, until it says no. cut says that the last goes beyond.
func eachBox(w *window, from, to int64, visit func(box) bool) (cut bool) {
	for range maxBoxes {
		b := w.at(from, 16)
		if len(b) < 8 || from+8 > to {
			return false
		}
		size, head := int64(binary.BigEndian.Uint32(b)), int64(8)
		switch {
		case size == 0:
			size = to - from
		case size == 1 && len(b) == 16:
			size, head = int64(binary.BigEndian.Uint64(b[8:])), 16
		}
		if size < head {
			return false
		}
		if size > to-from {
			return true
		}
		if !visit(box{string(b[4:8]), from + head, from + size}) {
			return false
		}
		from += size
	}
	return false
}

// in is the box that the path of names leads to; false if there is none.
func (b box) in(w *window, names ...string) (found box, ok bool) {
	for _, name := range names {
		ok = false
		eachBox(w, b.start, b.end, func(child box) bool {
			if ok = child.name == name; ok {
				found = child
			}
			return !ok
		})
		if !ok {
			return box{}, false
		}
		b = found
	}
	return found, ok
}

// read is the content of the box, as far as it is n bytes.
func (b box) read(w *window, n int64) []byte {
	return w.at(b.start, int(min(n, maxLook, b.end-b.start)))
}

// readMP4 looks for the header of the movie, and for that of its sound. What is fragmented says there that it lasts no time;
// its fragments tell.
func readMP4(w *window, start int64, facts *codestory.Audio) {
	var movie box
	var sound track
	seconds := 0.0
	cut := eachBox(w, start, w.size, func(b box) bool {
		switch b.name {
		case "moov":
			movie = b
			sound = soundOf(w, b)
		case "moof":
			seconds = max(seconds, sound.fragment(w, b))
		}
		return w.err == nil
	})
	switch {
	case movie.name == "":
		addFault(facts, truncated("it has no index (moov)"))
		return
	case cut:
		addFault(facts, truncated("its sound is cut off"))
	}
	if header, ok := movie.in(w, "mvhd"); ok {
		seconds = max(seconds, lasts(header.read(w, 32)))
	}
	if seconds == 0 {
		seconds = sound.seconds
	}
	plays(facts, seconds)
	readAtoms(w, movie, facts)
}

// lasts is the duration that a movie's header or a track's states, in seconds; 0 if it does not.
func lasts(b []byte) float64 {
	scale, duration := timescale(b)
	if scale == 0 || duration == 1<<32-1 || duration == 1<<64-1 {
		return 0
	}
	return float64(duration) / float64(scale)
}

func timescale(b []byte) (scale, duration uint64) {
	switch {
	case len(b) >= 32 && b[0] == 1:
		return uint64(binary.BigEndian.Uint32(b[20:])), binary.BigEndian.Uint64(b[24:])
	case len(b) >= 20 && b[0] == 0:
		return uint64(binary.BigEndian.Uint32(b[12:])), uint64(binary.BigEndian.Uint32(b[16:]))
	}
	return 0, 0
}

// track is the first one of sound.
type track struct {
	id      uint32
	scale   uint64  // ticks a second
	sample  uint64  // ticks of a sample of a fragment that says nothing else
	seconds float64 // as its header has it
	ticks   uint64  // until the end of the last fragment
}

func soundOf(w *window, movie box) (t track) {
	eachBox(w, movie.start, movie.end, func(b box) bool {
		if b.name != "trak" {
			return true
		}
		if handler, ok := b.in(w, "mdia", "hdlr"); !ok || !strings.HasSuffix(string(handler.read(w, 12)), "soun") {
			return true
		}
		if header, ok := b.in(w, "tkhd"); ok {
			if h := header.read(w, 24); len(h) == 24 {
				t.id = binary.BigEndian.Uint32(h[map[bool]int{false: 12, true: 20}[h[0] == 1]:])
			}
		}
		if header, ok := b.in(w, "mdia", "mdhd"); ok {
			h := header.read(w, 32)
			t.scale, _ = timescale(h)
			t.seconds = lasts(h)
		}
		return false
	})
	if extends, ok := movie.in(w, "mvex"); ok {
		eachBox(w, extends.start, extends.end, func(b box) bool {
			h := b.read(w, 16)
			if b.name == "trex" && len(h) == 16 && binary.BigEndian.Uint32(h[4:]) == t.id {
				t.sample = uint64(binary.BigEndian.Uint32(h[12:]))
			}
			return true
		})
	}
	return t
}

// fragment is how many seconds of sound there are until the end of a fragment.
func (t *track) fragment(w *window, moof box) float64 {
	eachBox(w, moof.start, moof.end, func(b box) bool {
		if b.name == "traf" {
			t.run(w, b)
		}
		return true
	})
	if t.scale == 0 {
		return 0
	}
	return float64(t.ticks) / float64(t.scale)
}

// run adds the samples of a fragment of a track.
func (t *track) run(w *window, traf box) {
	sample, mine := t.sample, false
	eachBox(w, traf.start, traf.end, func(b box) bool {
		h := b.read(w, 28)
		if len(h) < 8 {
			return true
		}
		flags := binary.BigEndian.Uint32(h) & 0xffffff
		switch b.name {
		case "tfhd":
			mine = binary.BigEndian.Uint32(h[4:]) == t.id
			at := 8
			if flags&1 != 0 { // an offset
				at += 8
			}
			if flags&2 != 0 { // a description
				at += 4
			}
			if flags&8 != 0 && len(h) >= at+4 {
				sample = uint64(binary.BigEndian.Uint32(h[at:]))
			}
		case "tfdt":
			if mine && h[0] == 1 && len(h) >= 12 {
				t.ticks = max(t.ticks, binary.BigEndian.Uint64(h[4:]))
			} else if mine {
				t.ticks = max(t.ticks, uint64(binary.BigEndian.Uint32(h[4:])))
			}
		case "trun":
			if mine {
				t.ticks += t.samples(w, b, flags, uint64(binary.BigEndian.Uint32(h[4:])), sample)
			}
		}
		return mine
	})
}

// samples is how many ticks the samples of a run last.
func (t *track) samples(w *window, trun box, flags uint32, count, sample uint64) (ticks uint64) {
	if flags&0x100 == 0 {
		return count * sample
	}
	at := trun.start + 8
	for _, optional := range []uint32{1, 4} { // an offset, the flags of the first
		if flags&optional != 0 {
			at += 4
		}
	}
	step := int64(4)
	for _, more := range []uint32{0x200, 0x400, 0x800} { // size, flags and offset of each
		if flags&more != 0 {
			step += 4
		}
	}
	for ; count > 0 && at+4 <= trun.end; count, at = count-1, at+step {
		b := w.at(at, 4)
		if len(b) < 4 {
			break
		}
		ticks += uint64(binary.BigEndian.Uint32(b))
	}
	return ticks
}

// readAtoms reads the title and the cover, as iTunes writes them.
func readAtoms(w *window, movie box, facts *codestory.Audio) {
	meta, ok := movie.in(w, "udta", "meta")
	if !ok {
		return
	}
	if b := meta.read(w, 8); len(b) == 8 && string(b[4:]) != "hdlr" { // not as QuickTime has it: a version stands before
		meta.start += 4
	}
	if data, ok := meta.in(w, "ilst", "\xa9nam", "data"); ok {
		if b := data.read(w, maxLook); len(b) > 8 {
			setTitle(facts, string(b[8:]))
		}
	}
	if data, ok := meta.in(w, "ilst", "covr", "data"); ok {
		if b := data.read(w, 8); len(b) == 8 {
			kind := map[uint32]string{13: "image/jpeg", 14: "image/png", 27: "image/bmp"}[binary.BigEndian.Uint32(b)&0xffffff]
			setCover(facts, kind, data.end-data.start-8)
		}
	}
}
