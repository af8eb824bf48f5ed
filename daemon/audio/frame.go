package audio

import "encoding/binary"

// header is that of a frame of MPEG audio (ISO/IEC 11172-3 and 13818-3, and the half rates of "MPEG 2.5").
type header struct {
	version  int // index into rates: 0 is MPEG 1, 1 is MPEG 2, 2 is MPEG 2.5
	layer    int // 1 to 3
	bitrate  int // bits per second
	rate     int // samples per second
	rateSlot int // 0 to 8: which of all rates
	samples  int // in the frame, of each channel
	size     int // bytes, with this header
	mono     bool
	crc      bool // two bytes of it follow the header
}

const headerSize = 4

// bitrates are in kbit/s, by layer and the header's four bits. 0 and 15 are no bitrate: a stream of "free format" has 0
// in all its frames, see freeStream.
var (
	bitrates1 = [3][16]int{
		{0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448, 0},
		{0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 0},
		{0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 0},
	}
	bitrates2 = [3][16]int{
		{0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256, 0},
		{0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160, 0},
		{0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160, 0},
	}
	rates = [3][3]int{{44100, 48000, 32000}, {22050, 24000, 16000}, {11025, 12000, 8000}}
)

// parseHeader reads a frame's header; false where it is none.
func parseHeader(b []byte) (h header, ok bool) {
	if len(b) < headerSize || b[0] != 0xff || b[1]&0xe0 != 0xe0 {
		return header{}, false
	}
	version, layer, bitrate, rate := int(b[1]>>3&3), 4-int(b[1]>>1&3), int(b[2]>>4), int(b[2]>>2&3)
	if version == 1 || layer == 4 || rate == 3 || b[3]&3 == 2 { // reserved
		return header{}, false
	}
	h = header{version: [4]int{2, 0, 1, 0}[version], layer: layer, mono: b[3]>>6 == 3, crc: b[1]&1 == 0}
	table := &bitrates2
	if h.version == 0 {
		table = &bitrates1
	}
	h.bitrate = table[layer-1][bitrate] * 1000
	h.rate, h.rateSlot = rates[h.version][rate], h.version*3+rate
	if h.bitrate == 0 {
		return header{}, false
	}
	padding := int(b[2] >> 1 & 1)
	switch {
	case layer == 1:
		h.samples, h.size = 384, (12*h.bitrate/h.rate+padding)*4
	case layer == 2 || h.version == 0:
		h.samples, h.size = 1152, 144*h.bitrate/h.rate+padding
	default:
		h.samples, h.size = 576, 72*h.bitrate/h.rate+padding
	}
	return h, true
}

// alike reports whether two frames can be of one stream: all but the bitrate and the mode of stereo stays.
func (h header) alike(other header) bool {
	return h.version == other.version && h.layer == other.layer && h.rate == other.rate
}

// lengthHeader is what an encoder wrote of the stream into a first frame that plays nothing: "Xing", "Info" (of a constant
// bitrate) or "VBRI".
type lengthHeader struct {
	name   string
	frames int64 // that follow; -1 where it does not say
}

// lengthHeader finds it in the frame that begins with b.
func (h header) lengthHeader(b []byte) (l lengthHeader, ok bool) {
	if h.layer != 3 {
		return lengthHeader{}, false
	}
	side := 32 // bytes of side information
	switch {
	case h.version == 0 && h.mono, h.version != 0 && !h.mono:
		side = 17
	case h.version != 0:
		side = 9
	}
	// The encoders that write it with a checksum disagree on whether that moves it.
	for _, at := range [...]int{headerSize + side, headerSize + side + 2} {
		if at == headerSize+side+2 && !h.crc || len(b) < at+12 {
			continue
		}
		name, rest := string(b[at:at+4]), b[at+4:]
		if name != "Xing" && name != "Info" {
			continue
		}
		l = lengthHeader{name, -1}
		if binary.BigEndian.Uint32(rest)&1 != 0 {
			l.frames = int64(binary.BigEndian.Uint32(rest[4:]))
		}
		return l, true
	}
	const vbri = headerSize + 32 // wherever the side information ends
	if len(b) >= vbri+18 && string(b[vbri:vbri+4]) == "VBRI" {
		return lengthHeader{"VBRI", int64(binary.BigEndian.Uint32(b[vbri+14:]))}, true
	}
	return lengthHeader{}, false
}
