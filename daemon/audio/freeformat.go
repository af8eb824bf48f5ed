package audio

import (
	"math"

	"github.com/codestory/codestoryd"
)

const (
	maxFree      = 8 << 10 // bytes of a frame in free format; encoders go to 640 kbit/s
	maxFreeTries = 64      // places that are taken for a first frame
	provenFree   = 3       // frames that have to follow the first in its steps
)

// freeStream is MPEG audio of which the frames do not say their bitrate ("free format"). All have one size, but for the
// padding, and it is found by looking for the next.
type freeStream struct {
	*stream
	first header
	size  int64 // bytes of a frame without padding
	slot  int64 // bytes of padding
}

// readFree reads the facts of a file of MPEG audio in free format; false where it is none.
func (s *stream) readFree(facts *codestory.Audio) bool {
	tries := 0
	for at := s.start; at < min(s.end, s.start+maxLead) && tries < maxFreeTries && s.w.err == nil; at++ {
		if at = s.next0xff(at); at >= s.end {
			break
		}
		first, padding, ok := parseFree(s.w.at(at, headerSize))
		if !ok {
			continue
		}
		tries++
		f := freeStream{stream: s, first: first, slot: 1}
		if first.layer == 1 {
			f.slot = 4
		}
		if f.findSize(at, padding) {
			f.report(at, facts)
			return true
		}
	}
	return false
}

// parseFree reads the header of a frame in free format, and whether the frame is padded. Its size and bitrate mean nothing.
func parseFree(b []byte) (h header, padding int64, ok bool) {
	if len(b) < headerSize || b[2]>>4 != 0 {
		return header{}, 0, false
	}
	h, ok = parseHeader([]byte{b[0], b[1], b[2] | 1<<4, b[3]})
	return h, int64(b[2] >> 1 & 1), ok
}

// findSize finds the size of the frames by the place of the second, which others have to follow in its steps.
func (f *freeStream) findSize(at, padding int64) bool {
	for next := at + headerSize; next <= min(at+maxFree, f.end-headerSize) && f.w.err == nil; next++ {
		if next = f.next0xff(next); next > at+maxFree {
			return false
		}
		f.size = next - at - padding*f.slot
		if n, _ := f.follow(at, provenFree+1); n > provenFree {
			return true
		}
	}
	return false
}

// follow goes over up to limit frames from there on, and returns how many there are and where they end.
func (f *freeStream) follow(at int64, limit int64) (n, end int64) {
	for n < limit && at < f.end && f.w.err == nil {
		h, padding, ok := parseFree(f.w.at(at, headerSize))
		size := f.size + padding*f.slot
		if !ok || !h.alike(f.first) || size <= headerSize || at+size > f.end {
			break
		}
		n, at = n+1, at+size
	}
	return n, at
}

// report reckons how long the file plays: what was not gone over has frames of the same size.
func (f *freeStream) report(at int64, facts *codestory.Audio) {
	n, end := f.follow(at, maxScan/f.size)
	bytes := float64(end - at)
	seconds := float64(n) * float64(f.first.samples) / float64(f.first.rate)
	facts.Bitrate = int(math.Round(bytes * 8 / seconds))
	facts.SoundOffset, facts.SoundSize = at, f.end-at
	plays(facts, seconds*float64(f.end-at)/bytes)
	facts.Faults = append(facts.Faults, freeFormat())
}
