package codestory

import (
	"bytes"
	"encoding/binary"
	"unicode/utf16"
)

// metadataText returns the JSON of a metadata.json: in UTF-8 without a byte order mark, with null for the NaN and Infinity that
// some encoders write. data itself if there is nothing to change.
func metadataText(data []byte) []byte {
	switch {
	case bytes.HasPrefix(data, []byte("\xef\xbb\xbf")):
		data = data[3:]
	case bytes.HasPrefix(data, []byte("\xff\xfe")):
		data = decodeUTF16(data[2:], binary.LittleEndian)
	case bytes.HasPrefix(data, []byte("\xfe\xff")):
		data = decodeUTF16(data[2:], binary.BigEndian)
	}
	if bytes.Contains(data, []byte("NaN")) || bytes.Contains(data, []byte("Infinity")) {
		return nullNonNumbers(data)
	}
	return data
}

// decodeUTF16 leaves a replacement character for half a unit at the end, so that what was cut off does not parse.
func decodeUTF16(data []byte, order binary.ByteOrder) []byte {
	units := make([]uint16, 0, len(data)/2+1)
	for ; len(data) > 1; data = data[2:] {
		units = append(units, order.Uint16(data))
	}
	if len(data) > 0 {
		units = append(units, 0xfffd)
	}
	return []byte(string(utf16.Decode(units)))
}

// nullNonNumbers replaces NaN, Infinity and -Infinity by null, except in strings.
func nullNonNumbers(data []byte) []byte {
	out := make([]byte, 0, len(data)+len(data)/8)
	quoted := false
next:
	for i := 0; i < len(data); i++ {
		switch {
		case data[i] == '"':
			quoted = !quoted
		case quoted && data[i] == '\\' && i+1 < len(data):
			out = append(out, data[i])
			i++
		case !quoted:
			for _, word := range []string{"NaN", "Infinity", "-Infinity"} {
				if bytes.HasPrefix(data[i:], []byte(word)) {
					out = append(out, "null"...)
					i += len(word) - 1
					continue next
				}
			}
		}
		out = append(out, data[i])
	}
	return out
}
