package s3

import (
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/minio/minio-go/v7"
)

// stateVersion is of the JSON below. A state of another is not gone on with.
const stateVersion = 1

// uploadState is what the ledger keeps of an upload in parts: all that it takes to go on with it, or to abort it. The
// zero value is that of none.
type uploadState struct {
	Version int    `json:"v"`
	ID      string `json:"id"`
	layout
	MD5   string     `json:"md5,omitempty"` // of the file, in hexadecimal; "" where it was not read ahead
	CRCs  []string   `json:"crc,omitempty"` // CRC64NVME of each part when the file was read ahead
	Parts []sentPart `json:"parts"`         // by number less 1
}

// sentPart is a part that the server has; the zero value is one that is still to be sent.
type sentPart struct {
	MD5  string // of what was sent, in hexadecimal
	CRC  string // CRC64NVME of what was sent; "" where the ETag is the MD5, which makes it superfluous
	ETag string // by which the server knows the part
}

// MarshalText keeps the text short, for 10,000 parts: one word where the ETag is the MD5, as it nearly always is.
func (p sentPart) MarshalText() ([]byte, error) {
	if p.ETag == p.MD5 {
		return []byte(p.MD5), nil
	}
	return []byte(p.MD5 + " " + p.CRC + " " + p.ETag), nil
}

// UnmarshalText reads what MarshalText made.
func (p *sentPart) UnmarshalText(text []byte) error {
	words := strings.Split(string(text), " ")
	if sum, err := hex.DecodeString(words[0]); err != nil || len(sum) != md5.Size && len(text) > 0 {
		return fmt.Errorf("%q begins with no MD5", text)
	}
	switch len(words) {
	case 1:
		*p = sentPart{MD5: words[0], ETag: words[0]}
	case 3:
		*p = sentPart{MD5: words[0], CRC: words[1], ETag: words[2]}
	default:
		return fmt.Errorf("%q has %d words", text, len(words))
	}
	return nil
}

func newUploadState(id string, l layout) uploadState {
	return uploadState{Version: stateVersion, ID: id, layout: l, Parts: make([]sentPart, l.parts())}
}

// decodeState reads a state that fits an object that is laid out so.
func decodeState(text []byte, l layout) (uploadState, error) {
	var s uploadState
	if err := json.Unmarshal(text, &s); err != nil {
		return uploadState{}, err
	}
	switch {
	case s.Version != stateVersion:
		return uploadState{}, fmt.Errorf("its version is %d", s.Version)
	case s.ID == "":
		return uploadState{}, errors.New("it has no upload id")
	case s.layout != l:
		return uploadState{}, fmt.Errorf("it is laid out as %+v, not as %+v", s.layout, l)
	case len(s.Parts) != l.parts(), len(s.CRCs) != 0 && len(s.CRCs) != l.parts():
		return uploadState{}, fmt.Errorf("it has not %d parts", l.parts())
	}
	return s, nil
}

// idOfState is the upload id in a state that need not be one of ours to go on with; "" where there is none.
func idOfState(text []byte) string {
	var s struct {
		ID string `json:"id"`
	}
	if json.Unmarshal(text, &s) != nil {
		return ""
	}
	return s.ID
}

// missing are the numbers of the parts that are still to be sent.
func (s *uploadState) missing() []int {
	var numbers []int
	for i, p := range s.Parts {
		if p == (sentPart{}) {
			numbers = append(numbers, i+1)
		}
	}
	return numbers
}

// keepOnly forgets the parts that the server does not list just as they were sent.
func (s *uploadState) keepOnly(listed []minio.ObjectPart) {
	agreed := make([]sentPart, len(s.Parts))
	for _, p := range listed {
		if p.PartNumber < 1 || p.PartNumber > len(s.Parts) {
			continue
		}
		_, length := s.part(p.PartNumber)
		if sent := s.Parts[p.PartNumber-1]; p.Size == length && strings.Trim(p.ETag, `"`) == sent.ETag {
			agreed[p.PartNumber-1] = sent
		}
	}
	s.Parts = agreed
}

// etag is the ETag of the whole by S3's rule, once all parts were sent: the MD5 of the parts' MD5s, and their number.
func (s *uploadState) etag() string {
	sums := md5.New()
	for _, p := range s.Parts {
		sum, _ := hex.DecodeString(p.MD5) // it was encoded here, or looked at when the state was read
		sums.Write(sum)
	}
	return fmt.Sprintf("%x-%d", sums.Sum(nil), len(s.Parts))
}

// opaque reports whether the server's ETags are no MD5s.
func (s *uploadState) opaque() bool {
	for _, p := range s.Parts {
		if !strings.EqualFold(p.ETag, p.MD5) {
			return true
		}
	}
	return false
}

// crc is the CRC64NVME of the whole in base64; "" where that of a part is not known.
func (s *uploadState) crc() string {
	parts := make([]minio.ObjectPart, len(s.Parts))
	for i, p := range s.Parts {
		_, length := s.part(i + 1)
		parts[i] = minio.ObjectPart{PartNumber: i + 1, Size: length, ChecksumCRC64NVME: p.CRC}
	}
	whole, err := minio.ChecksumCRC64NVME.FullObjectChecksum(parts)
	if err != nil {
		return ""
	}
	return whole.Encoded()
}
