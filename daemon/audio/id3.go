package audio

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strings"
	"unicode/utf16"

	"github.com/codestory/codestoryd"
)

const (
	maxTagBytes  = 16 << 20 // of an ID3v2 tag that are looked through
	maxTagFrame  = maxLook  // bytes of a frame that are kept
	id3v2Header  = 10
	maxTagsAhead = 100 // ID3v2 tags one behind the other
)

// id3Size is the size of the ID3v2 tag that begins with b, with its header; 0 if none does.
func id3Size(b []byte) int64 {
	if len(b) < id3v2Header || string(b[:3]) != "ID3" || b[3] == 0xff || b[4] == 0xff || (b[6]|b[7]|b[8]|b[9])&0x80 != 0 {
		return 0
	}
	size := synchsafe(b[6:]) + id3v2Header
	if b[5]&0x10 != 0 {
		size += id3v2Header // a footer
	}
	return size
}

// synchsafe is a number of four times seven bits.
func synchsafe(b []byte) int64 {
	return int64(b[0]&0x7f)<<21 | int64(b[1]&0x7f)<<14 | int64(b[2]&0x7f)<<7 | int64(b[3]&0x7f)
}

// skipID3 is the place behind the ID3v2 tags at off.
func skipID3(w *window, off int64) int64 {
	for range maxTagsAhead {
		size := id3Size(w.at(off, id3v2Header))
		if size == 0 || w.err != nil {
			break
		}
		off = min(off+size, w.size)
	}
	return off
}

// readID3 reads the ID3v2 tags that stand from off to end. What an earlier one says counts.
func readID3(w *window, off, end int64, facts *codestory.Audio) {
	for off < end {
		b := w.at(off, id3v2Header)
		size := id3Size(b)
		if size == 0 {
			return
		}
		readID3v2(w, off, facts)
		off += size
	}
}

// id3Reader reads a tag from its beginning to its end, without the zeros that unsynchronisation put into it.
type id3Reader struct {
	w       *window
	at, end int64
	version byte
	unsync  bool // of the whole tag, up to version 2.3
	all     bool // of each frame, from version 2.4 on
	was0xff bool
}

func readID3v2(w *window, off int64, facts *codestory.Audio) {
	h := slices.Clone(w.at(off, id3v2Header))
	t := &id3Reader{w: w, at: off + id3v2Header, version: h[3]}
	t.end = min(t.at+synchsafe(h[6:]), t.at+maxTagBytes, w.size)
	t.unsync, t.all = h[5]&0x80 != 0 && t.version < 4, h[5]&0x80 != 0
	if t.version < 2 || t.version > 4 || t.version == 2 && h[5]&0x40 != 0 { // compressed, in a way nobody defined
		return
	}
	if t.version > 2 && h[5]&0x40 != 0 { // an extended header
		size := t.take(4)
		if len(size) < 4 {
			return
		}
		if t.version == 3 {
			t.skip(int64(binary.BigEndian.Uint32(size)))
		} else {
			t.skip(synchsafe(size) - 4)
		}
	}
	for t.frame(facts) && w.err == nil {
	}
}

// take reads n bytes, at most maxTagFrame, and fewer at the end.
func (t *id3Reader) take(n int64) []byte {
	taken := make([]byte, 0, max(0, min(n, maxTagFrame)))
	t.each(n, func(b []byte) { taken = append(taken, b[:min(len(b), cap(taken)-len(taken))]...) })
	return taken
}

// skip passes n bytes over.
func (t *id3Reader) skip(n int64) {
	if !t.unsync {
		t.at += max(0, min(n, t.end-t.at))
		return
	}
	t.each(n, func([]byte) {})
}

// each calls do with the next n bytes, in pieces, and returns how many there were.
func (t *id3Reader) each(n int64, do func([]byte)) (count int64) {
	for count < n && t.at < t.end {
		b := t.w.at(t.at, int(min(maxLook, t.end-t.at, n-count)))
		if len(b) == 0 {
			t.at = t.end
			break
		}
		t.at += int64(len(b))
		if t.unsync {
			b = t.resync(b)
		}
		do(b)
		count += int64(len(b))
	}
	return count
}

// resync drops the zero behind each 0xff.
func (t *id3Reader) resync(b []byte) []byte {
	kept := make([]byte, 0, len(b))
	for _, c := range b {
		if !t.was0xff || c != 0 {
			kept = append(kept, c)
		}
		t.was0xff = c == 0xff
	}
	return kept
}

// frame reads one frame; false at the end of the frames. One that cannot be read costs that one alone.
func (t *id3Reader) frame(facts *codestory.Audio) bool {
	head := int64(10)
	if t.version == 2 {
		head = 6
	}
	h := t.take(head)
	if int64(len(h)) < head || !isFrameID(h) {
		return false
	}
	size := t.frameSize(h)
	if size < 0 || size > t.end-t.at {
		return false
	}
	name := strings.TrimRight(string(h[:4]), "\x00 ")
	if t.version == 2 {
		name = string(h[:3])
	}
	if name != "TIT2" && name != "TT2" && name != "APIC" && name != "PIC" {
		t.skip(size)
		return true
	}
	body, length, ok := t.body(h, size)
	if !ok || len(body) == 0 {
		return true
	}
	if name[0] == 'T' {
		setTitle(facts, decodeText(body))
	} else {
		readPicture(name, body, length, facts)
	}
	return true
}

// isFrameID reports whether a frame begins with h: with three capitals or digits, since old iTunes writes no fourth.
func isFrameID(h []byte) bool {
	if len(h) < 3 {
		return false
	}
	for _, c := range h[:3] {
		if (c < 'A' || c > 'Z') && (c < '0' || c > '9') {
			return false
		}
	}
	return true
}

// frameSize is what the frame's header says of its size. Version 2.4 writes seven bits a byte, and old iTunes wrote plain
// numbers all the same; others did the contrary in 2.3. What is right leads to the next frame, or to the end.
func (t *id3Reader) frameSize(h []byte) int64 {
	if t.version == 2 {
		return int64(h[3])<<16 | int64(h[4])<<8 | int64(h[5])
	}
	plain, safe := int64(binary.BigEndian.Uint32(h[4:])), synchsafe(h[4:])
	if plain == safe || t.unsync {
		return plain
	}
	first, second := plain, safe
	if t.version == 4 {
		first, second = safe, plain
	}
	if (h[4]|h[5]|h[6]|h[7])&0x80 != 0 { // no number of seven bits a byte
		first, second = plain, plain
	}
	if !t.leadsOn(first) && t.leadsOn(second) {
		return second
	}
	return first
}

// leadsOn reports whether a frame, padding or the end stands behind a frame of that size.
func (t *id3Reader) leadsOn(size int64) bool {
	next := t.at + size
	if next > t.end {
		return false
	}
	b := t.w.at(next, int(min(4, t.end-next)))
	return len(b) < 4 || isFrameID(b) || bytes.Equal(b, []byte{0, 0, 0, 0})
}

// body reads the content of a frame: its beginning, and the length of all of it. false if it is compressed or encrypted.
func (t *id3Reader) body(h []byte, size int64) (body []byte, length int64, ok bool) {
	flags := byte(0)
	if t.version > 2 {
		flags = h[9]
	}
	if t.version == 4 {
		frame := id3Reader{w: t.w, at: t.at, end: t.at + size, unsync: t.all || flags&0x02 != 0}
		body = frame.take(maxTagFrame)
		length = int64(len(body)) + frame.each(size, func([]byte) {})
	} else {
		body, length = t.take(min(size, maxTagFrame)), size
	}
	if t.version == 4 {
		t.at += size
	} else {
		t.skip(size - int64(len(body)))
	}
	extra, unreadable := 0, byte(0)
	switch t.version {
	case 3:
		unreadable, extra = flags&0xc0, int(flags>>5&1) // a group
	case 4:
		unreadable, extra = flags&0x0c, int(flags>>6&1)+4*int(flags&1) // a group, a length
	}
	if unreadable != 0 || len(body) < extra {
		return nil, 0, false
	}
	return body[extra:], length - int64(extra), true
}

// decodeText is the first text of a frame, whose first byte names the encoding.
func decodeText(b []byte) string {
	encoding, b := b[0], b[1:]
	switch encoding {
	case 0:
		b, _, _ = bytes.Cut(b, []byte{0})
		return latin1(b)
	case 1, 2:
		var order binary.ByteOrder = binary.BigEndian
		if encoding == 1 && len(b) >= 2 {
			if b[0] == 0xff && b[1] == 0xfe {
				order = binary.LittleEndian
			}
			if order.Uint16(b) == 0xfeff {
				b = b[2:]
			}
		}
		var units []uint16
		for ; len(b) >= 2 && order.Uint16(b) != 0; b = b[2:] {
			units = append(units, order.Uint16(b))
		}
		return string(utf16.Decode(units))
	default:
		b, _, _ = bytes.Cut(b, []byte{0})
		return string(b)
	}
}

// latin1 decodes bytes that are each a character.
func latin1(b []byte) string {
	runes := make([]rune, len(b))
	for i, c := range b {
		runes[i] = rune(c)
	}
	return string(runes)
}

// readPicture reads what stands before a picture: an encoding, its type, what it shows, and a text.
func readPicture(name string, b []byte, length int64, facts *codestory.Audio) {
	wide, rest := b[0] == 1 || b[0] == 2, b[1:]
	kind := ""
	if name == "PIC" {
		if len(rest) < 3 {
			return
		}
		kind, rest = string(rest[:3]), rest[3:]
	} else {
		text, after, ok := bytes.Cut(rest, []byte{0})
		if !ok {
			return
		}
		kind, rest = latin1(text), after
	}
	if len(rest) < 1 || kind == "-->" { // which is a link
		return
	}
	rest = rest[1:]
	for step := map[bool]int{false: 1, true: 2}[wide]; ; rest = rest[step:] {
		if len(rest) < step {
			return
		}
		if rest[0] == 0 && rest[step-1] == 0 {
			rest = rest[step:]
			break
		}
	}
	switch strings.ToLower(kind) {
	case "jpg", "jpeg", "image/jpg":
		kind = "image/jpeg"
	case "png":
		kind = "image/png"
	}
	setCover(facts, kind, length-int64(len(b)-len(rest)))
}
