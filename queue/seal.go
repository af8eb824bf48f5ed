package queue

import (
	"encoding/binary"
	"hash/crc32"
)

// bbolt checks none of what it keeps, so that flipped bits would go unseen. Each value that matters ends with a checksum
// of its key and of itself: a value that was changed shows, and so does one that got under another's key.

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

const sealBytes = crc32.Size

func checksum(key, body []byte) uint32 {
	return crc32.Update(crc32.Checksum(key, castagnoli), castagnoli, body)
}

// seal is body with its checksum behind it. It may use body's memory.
func seal(key, body []byte) []byte {
	return binary.BigEndian.AppendUint32(body, checksum(key, body))
}

// unseal is what was sealed under the key, in sealed's memory.
func unseal(key, sealed []byte) (body []byte, ok bool) {
	n := len(sealed) - sealBytes
	if n < 0 || binary.BigEndian.Uint32(sealed[n:]) != checksum(key, sealed[:n]) {
		return nil, false
	}
	return sealed[:n:n], true
}
