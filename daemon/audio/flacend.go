package audio

import "encoding/binary"

// flacSamples is how many samples there are until the end of the last frame, for a STREAMINFO that does not know because
// it was written to a pipe; 0 if no frame is found. block is the size of all blocks but the last, in samples.
func flacSamples(w *window, start int64, block uint64) uint64 {
	const most = 1 << 20 // bytes from the end; a frame is seldom larger than 64 KiB
	least := max(start, w.size-most)
	for end := w.size; end > least && w.err == nil; {
		from := max(least, end-maxLook)
		b := append([]byte(nil), w.at(from, int(end-from))...)
		b = append(b, make([]byte, flacHeader)...) // the last frame may be shorter than a header at its longest
		for i := len(b) - flacHeader - 1; i >= 0; i-- {
			if samples, ok := flacFrame(b[i:], block); ok {
				return samples
			}
		}
		if from == least {
			break
		}
		end = from + flacHeader - 1 // a header may lie across
	}
	return 0
}

const flacHeader = 16 // bytes of a frame's header, at most

// flacFrame reads a frame's header (RFC 9639, section 9.1), which a checksum ends: how many samples there are until the
// frame's end.
func flacFrame(b []byte, block uint64) (samples uint64, ok bool) {
	if len(b) < flacHeader || b[0] != 0xff || b[1]&0xfe != 0xf8 || b[3]&1 != 0 {
		return 0, false
	}
	number, at := uint64(b[4]), 5
	if b[4]&0x80 != 0 { // coded as UTF-8 is, up to 36 bits
		more := 0
		for more < 6 && b[4]&(0x40>>more) != 0 {
			more++
		}
		number = uint64(b[4] & (0x3f >> more))
		for range more {
			number, at = number<<6|uint64(b[at]&0x3f), at+1
		}
	}
	size := uint64(0)
	switch code := b[2] >> 4; {
	case code == 0:
		return 0, false
	case code == 1:
		size = 192
	case code <= 5:
		size = 576 << (code - 2)
	case code == 6:
		size, at = uint64(b[at])+1, at+1
	case code == 7:
		size, at = uint64(binary.BigEndian.Uint16(b[at:]))+1, at+2
	default:
		size = 256 << (code - 8)
	}
	switch b[2] & 15 { // the rate
	case 12:
		at++
	case 13, 14:
		at += 2
	}
	if at >= flacHeader || crc8(b[:at]) != b[at] {
		return 0, false
	}
	if b[1]&1 == 0 { // it is the frame that has a number, not its first sample
		number *= block
	}
	return number + size, true
}

func crc8(b []byte) (crc byte) {
	for _, c := range b {
		crc ^= c
		for range 8 {
			top := crc & 0x80
			crc <<= 1
			if top != 0 {
				crc ^= 0x07
			}
		}
	}
	return crc
}
