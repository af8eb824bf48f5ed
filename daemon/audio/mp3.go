package audio

import (
	"bytes"
	"math"

	"github.com/codestory/codestoryd"
)

const (
	maxLead = 1 << 20 // bytes, of what may stand before the first frame
	maxScan = 1 << 30 // bytes, of what is looked through; a file that is larger is reckoned from so much
)

// stream is a file of MPEG audio, as far as it was looked through.
type stream struct {
	w          *window
	start, end int64 // of what is not tags before and behind
	first      header
	length     lengthHeader
	sound      int64 // where the first frame that plays begins

	frames    int64 // that play
	bytes     int64 // of them
	samples   [9]int64
	varies    bool  // the bitrate
	joints    int   // where one stream ends and another begins
	joint     int64 // the frames before the last of them
	behind    int64 // where a tag stands that nothing has followed yet; 0 for none
	junk      int64
	truncated bool
	unread    int64 // bytes that were not looked through
}

// readMP3 reads the facts of a file of MPEG audio, whose tags ahead end at start; false if it is none.
func readMP3(w *window, start int64, facts *codestory.Audio) bool {
	tags := *facts
	readID3(w, 0, start, &tags)
	s := stream{w: w, start: start}
	var id3v1 int64
	s.end, id3v1 = trailers(w, start, &tags)
	at, ok := s.begin()
	if ok {
		s.scan(at)
		if s.behind > 0 {
			readID3(w, s.behind, s.end, &tags)
		}
		if ok = s.frames > 0; ok { // else there is a header of no frames
			readID3v1(w, id3v1, &tags)
			*facts = tags
			s.report(facts)
		}
		return ok
	}
	if ok = s.readFree(&tags); ok {
		readID3v1(w, id3v1, &tags)
		*facts = tags
	}
	return ok
}

// begin finds the first frame. Two that follow it in its steps prove that it is one.
func (s *stream) begin() (at int64, ok bool) {
	for at = s.start; at < min(s.end, s.start+maxLead) && s.w.err == nil; at++ {
		if at = s.next0xff(at); at >= s.end {
			break
		}
		h, ok := parseHeader(s.w.at(at, headerSize))
		if !ok {
			continue
		}
		if s.follows(h, at, 2) || at == s.start && at+int64(h.size) >= s.end && s.end-at > headerSize {
			s.first = h
			return at, true
		}
	}
	return 0, false
}

// next0xff is the first place from at on where a header can begin.
func (s *stream) next0xff(at int64) int64 {
	for at < s.end {
		b := s.w.at(at, int(min(maxLook, s.end-at)))
		if len(b) == 0 {
			return s.end
		}
		if i := bytes.IndexByte(b, 0xff); i >= 0 {
			return at + int64(i)
		}
		at += int64(len(b))
	}
	return s.end
}

// follows reports whether n frames like h follow it, or as many as there is room for, at least one.
func (s *stream) follows(h header, at int64, n int) bool {
	for i := range n {
		at += int64(h.size)
		if at >= s.end {
			return i > 0
		}
		next, ok := parseHeader(s.w.at(at, headerSize))
		if !ok || !next.alike(h) {
			return false
		}
		h = next
	}
	return true
}

// scan goes from frame to frame.
func (s *stream) scan(at int64) {
	s.sound = at
	limit := min(s.end, at+maxScan)
	for at < limit && s.w.err == nil {
		h, ok := parseHeader(s.w.at(at, headerSize))
		if ok && !h.alike(s.first) {
			if ok = s.follows(h, at, 1); ok {
				s.join() // of another kind
				s.first = h
			}
		}
		switch {
		case !ok:
			at = s.recover(at)
		case at+int64(h.size) > s.end:
			s.truncated = true
			return
		default:
			s.frame(h, at)
			at += int64(h.size)
		}
	}
	s.unread = max(0, s.end-at)
}

func (s *stream) frame(h header, at int64) {
	if l, ok := h.lengthHeader(s.w.at(at, min(h.size, 64))); ok {
		if s.frames == 0 && s.length.name == "" {
			s.length, s.sound = l, at+int64(h.size)
		} else {
			s.join()
		}
		return
	}
	if s.behind > 0 {
		s.join() // the tag in the middle was the beginning or the end of a file
		s.behind = 0
	}
	if s.frames > 0 && h.bitrate != s.first.bitrate {
		s.varies = true
	}
	if s.frames == 0 {
		s.first = h // the one with the length may have another bitrate
	}
	s.frames++
	s.bytes += int64(h.size)
	s.samples[h.rateSlot] += int64(h.samples)
}

// join notes that another stream begins. It may show in several ways at once: by its tag, its length and its kind.
func (s *stream) join() {
	if s.frames > s.joint {
		s.joints++
		s.joint = s.frames
	}
}

// recover is the place to go on at if there is no frame: behind a tag, or at the next frame that another follows.
func (s *stream) recover(at int64) int64 {
	if end := skipTag(s.w, at); end > at {
		if s.behind == 0 {
			s.behind = at
		}
		return min(end, s.end)
	}
	for from := at; s.w.err == nil; {
		at = s.next0xff(at + 1)
		if at >= s.end || at-from >= maxLead {
			at = min(at, s.end)
		} else if h, ok := parseHeader(s.w.at(at, headerSize)); !ok || !s.follows(h, at, 1) {
			continue
		}
		if !s.zero(from, at) { // padding is no fault
			s.junk += at - from
		}
		return at
	}
	return s.end
}

// zero reports whether nothing but zeros stands there.
func (s *stream) zero(from, to int64) bool {
	for from < to {
		b := s.w.at(from, int(min(maxLook, to-from)))
		if len(b) == 0 || len(bytes.TrimLeft(b, "\x00")) > 0 {
			return false
		}
		from += int64(len(b))
	}
	return true
}

// report says what was found.
func (s *stream) report(facts *codestory.Audio) {
	seconds := 0.0
	for slot, n := range s.samples {
		seconds += float64(n) / float64(rates[slot/3][slot%3])
	}
	if s.bytes > 0 {
		facts.Bitrate = int(math.Round(float64(s.bytes) * 8 / seconds))
		end := s.end
		if s.behind > 0 {
			end = s.behind
		}
		facts.SoundOffset, facts.SoundSize = s.sound, end-s.sound
		seconds *= float64(s.bytes+s.unread) / float64(s.bytes)
	}
	plays(facts, seconds)
	add := func(f codestory.AudioFault) { facts.Faults = append(facts.Faults, f) }
	if s.joints > 0 {
		add(concatenated(s.joints + 1))
	}
	switch counted := s.length.frames; {
	case s.varies && (s.length.name == "" || counted < 0):
		add(noLengthHeader())
	case s.unread == 0 && s.length.name != "" && counted >= 0 && (counted < s.frames-1 || counted > s.frames+1):
		add(badLengthHeader(s.length.name, counted, s.frames))
	}
	if s.truncated {
		add(truncated("its last frame is cut off"))
	}
	if s.junk > 0 {
		add(interrupted(s.junk))
	}
}
