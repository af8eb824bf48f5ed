package audio_test

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"

	"github.com/codestory/codestoryd"
)

// chunk is one of RIFF.
func chunk(name string, body []byte) []byte {
	return slices.Concat([]byte(name), binary.LittleEndian.AppendUint32(nil, uint32(len(body))), body)
}

// box is one of MP4.
func box(name string, body ...[]byte) []byte {
	content := slices.Concat(body...)
	return slices.Concat(binary.BigEndian.AppendUint32(nil, uint32(8+len(content))), []byte(name), content)
}

// page is one of Ogg, of stream 7.
func page(samples uint64, packet []byte) []byte {
	b := append([]byte("OggS\x00\x00"), binary.LittleEndian.AppendUint64(nil, samples)...)
	b = append(b, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, byte(len(packet)))
	return append(b, packet...)
}

var (
	wavFormat = chunk("fmt ", []byte{1, 0, 1, 0, 0x40, 0x1f, 0, 0, 0x80, 0x3e, 0, 0, 2, 0, 16, 0}) // 16,000 bytes a second
	riff      = append([]byte("RIFF\x00\x00\x00\x00WAVE"), wavFormat...)
	opusHead  = append([]byte("OpusHead\x01\x01\x38\x01"), make([]byte, 8)...) // 312 samples to be skipped
	vorbis    = append([]byte("\x01vorbis\x00\x00\x00\x00\x01\x44\xac\x00\x00"), make([]byte, 14)...)
	oldMovie  = append(make([]byte, 12), 0, 0, 0x03, 0xe8, 0, 0, 0x27, 0x10) // 10,000 of 1,000 a second
	newMovie  = append(append([]byte{1}, make([]byte, 19)...), 0, 0, 0x03, 0xe8, 0, 0, 0, 0, 0, 0, 0x27, 0x10)
	flacHead  = append(append([]byte("fLaC\x80\x00\x00\x22"), make([]byte, 10)...), 0x0a, 0xc4, 0x40, 0xf0, 0, 0x06, 0xba, 0xa8)
)

// otherFiles play 10 s each.
var otherFiles = map[string][]byte{
	"x.wav":       slices.Concat(riff, chunk("LIST", []byte("odd")), []byte{0}, chunk("data", make([]byte, 160_000))),
	"piped.wav":   slices.Concat(riff, []byte("data\xff\xff\xff\xff"), make([]byte, 160_000)),
	"x.opus":      slices.Concat(page(0, opusHead), page(9, []byte("x")), page(480_312, bytes.Repeat([]byte("y"), 200))),
	"x.ogg":       slices.Concat(page(0, vorbis), page(441_000, []byte("y")), page(1<<64-1, []byte("unfinished"))),
	"x.m4a":       slices.Concat(box("ftyp", []byte("M4A 0000")), box("mdat", make([]byte, 1000)), box("moov", box("udta"), box("mvhd", oldMovie, make([]byte, 80)))),
	"new.m4a":     slices.Concat(box("ftyp", []byte("M4A 0000")), box("moov", box("mvhd", newMovie, make([]byte, 80)))),
	"x.flac":      append(flacHead, make([]byte, 100)...),
	"capital.M4A": slices.Concat(box("ftyp", []byte("M4A 0000")), box("moov", box("mvhd", oldMovie, make([]byte, 80)))),
}

func TestOtherFormats(t *testing.T) {
	t.Parallel()
	for name, b := range otherFiles {
		a := read(t, name, b)
		if a.DurationSeconds == nil || *a.DurationSeconds != 10 || len(a.Faults) > 0 {
			t.Errorf("%s: it plays %v s, with faults %v", name, a.DurationSeconds, a.Faults)
		}
	}
}

func TestOtherFormatsCutOff(t *testing.T) {
	t.Parallel()
	for name, keep := range map[string]int{"x.wav": 100_000, "x.m4a": 500, "x.flac": 20, "x.ogg": 30} {
		if got := codes(read(t, name, otherFiles[name][:keep])); !slices.Equal(got, []codestory.AudioFaultCode{codestory.Truncated}) {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// A file that is not what its name says plays in some players only.
func TestNameOfAnother(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"x.wav", "x.ogg", "x.m4a", "x.flac"} {
		a := read(t, "x.mp3", otherFiles[name])
		if got := codes(a); !slices.Equal(got, []codestory.AudioFaultCode{codestory.OtherFormat}) || *a.DurationSeconds != 10 {
			t.Errorf("%s as MP3: %+v", name, a)
		}
	}
	if got := codes(read(t, "x.flac", frames(frame128, 10))); !slices.Equal(got, []codestory.AudioFaultCode{codestory.OtherFormat}) {
		t.Errorf("MP3 as FLAC: %v", got)
	}
}
