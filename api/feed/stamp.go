package feed

import (
	"encoding/binary"
	"math"
)

// Timestamp is the ID3 tag that a piece of an HLS stream of MPEG audio begins with: it says at which time of the whole the
// piece begins (RFC 8216, section 3.4). Without it players that seek take the piece for the beginning.
func Timestamp(seconds float64) []byte {
	const ticks, wraps = 90_000, 1<<33 - 1
	private := append([]byte("com.apple.streaming.transportStreamTimestamp\x00"),
		binary.BigEndian.AppendUint64(nil, uint64(math.Round(seconds*ticks))&wraps)...)
	frame := append([]byte("PRIV\x00\x00\x00"), byte(len(private)), 0, 0) // sizes below 128 are one byte of four
	frame = append(frame, private...)
	return append([]byte("ID3\x04\x00\x00\x00\x00\x00"), append([]byte{byte(len(frame))}, frame...)...)
}
