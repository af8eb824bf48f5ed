package audio_test

import (
	"bytes"
	"encoding/binary"
	"math"
	"slices"
	"strings"
	"testing"

	codestory "github.com/codestory/codestoryd"
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

// begins makes a page the first of stream 7 or another.
func begins(serial byte, page []byte) []byte {
	page[5], page[14] = 2, serial
	return page
}

func ofStream(serial byte, page []byte) []byte {
	page[14] = serial
	return page
}

// comments are those of Vorbis, with a title.
func comments(title string) []byte {
	title = "TITLE=" + title
	return slices.Concat([]byte("\x01\x00\x00\x00v\x01\x00\x00\x00"), binary.LittleEndian.AppendUint32(nil, uint32(len(title))), []byte(title))
}

// flacBlock is one of metadata.
func flacBlock(kind byte, body []byte) []byte {
	return append([]byte{kind, 0, byte(len(body) >> 8), byte(len(body))}, body...)
}

func be32(n ...uint32) (b []byte) {
	for _, n := range n {
		b = binary.BigEndian.AppendUint32(b, n)
	}
	return b
}

// adtsFrames are frames of AAC at 8 kHz: 1,024 samples in 100 bytes each.
func adtsFrames(n int) string {
	frame := "\xff\xf1\x6c\x40\x0c\x9f\xfc" + strings.Repeat("\x00", 93)
	return strings.Repeat(frame, n)
}

var (
	title      = box("udta", box("meta", be32(0), box("hdlr", make([]byte, 25)), box("ilst", box("\xa9nam", box("data", be32(1, 0), []byte("Title"))), box("covr", box("data", be32(13, 0), []byte("picture"))))))
	soundTrack = box("trak", box("tkhd", make([]byte, 12), be32(7), make([]byte, 68)), box("mdia", box("mdhd", make([]byte, 12), be32(1000, 0, 0)), box("hdlr", be32(0, 0), []byte("soun"), make([]byte, 13))))
	emptyMovie = box("moov", box("mvhd", make([]byte, 12), be32(1000, 0), make([]byte, 80)), soundTrack, box("mvex", box("trex", be32(0, 7, 1, 500, 0, 0))))
	// of 4 s each: by the default of the track, by one of the fragment, and sample by sample
	fragment1 = box("moof", box("mfhd", be32(0, 1)), box("traf", box("tfhd", be32(0, 7)), box("trun", be32(0, 8))), box("traf", box("tfhd", be32(0, 8)), box("trun", be32(0, 8000))))
	fragment2 = box("moof", box("traf", box("tfhd", be32(8, 7, 1000)), box("tfdt", be32(0, 4000)), box("trun", be32(1, 4, 99))))
	fragment3 = box("moof", box("traf", box("tfhd", be32(0, 7)), box("tfdt", be32(1<<24, 0, 8000)), box("trun", be32(0x301, 2, 99, 1500, 1, 500, 1))))
)

// otherFiles play 10 s each.
var otherFiles = map[string][]byte{
	"espeak.wav":      slices.Concat(riff, []byte("data\x00\xf0\xff\x7f"), make([]byte, 160_000)),
	"sox.wav":         slices.Concat(riff, []byte("data\xff\xff\xff\x7f"), make([]byte, 160_000)),
	"large.wav":       slices.Concat([]byte("RF64\xff\xff\xff\xffWAVE"), chunk("ds64", append(make([]byte, 8), 0x00, 0x71, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)), wavFormat, []byte("data\xff\xff\xff\xff"), make([]byte, 160_000)),
	"tag before.wav":  slices.Concat(id3(id3Frame("TIT2", []byte("\x03Title"))), riff, chunk("data", make([]byte, 160_000))),
	"tagged.flac":     slices.Concat(id3(id3Frame("TIT2", []byte("\x03Other"))), []byte("fLaC\x00"), flacHead[5:], make([]byte, 16), flacBlock(4, comments("Title")), flacBlock(0x86, slices.Concat(be32(3, 10), []byte("image/jpeg"), be32(0, 1, 1, 8, 0, 7), []byte("picture")))),
	"title.flac":      slices.Concat([]byte("fLaC\x00"), flacHead[5:], make([]byte, 16), flacBlock(0x84, comments("Title"))),
	"chained.opus":    slices.Concat(begins(7, page(0, opusHead)), page(0, append([]byte("OpusTags"), comments("Title")...)), page(240_312, []byte("y")), begins(8, page(0, opusHead)), ofStream(8, page(240_312, []byte("y")))),
	"two at once.ogg": slices.Concat(begins(9, page(0, []byte("fishead\x00"))), begins(7, page(0, vorbis)), page(0, append([]byte("\x03vorbis"), comments("Title")...)), page(441_000, []byte("y")), ofStream(9, page(9_441_000, []byte("y")))),
	"gap.ogg":         slices.Concat(begins(7, page(0, vorbis)), []byte("noise"), page(441_000, []byte("y"))),
	"fragmented.m4a":  slices.Concat(box("ftyp", []byte("M4A 0000")), emptyMovie, fragment1, box("mdat", []byte("x")), fragment2, box("mdat", []byte("x")), fragment3),
	"title.m4a":       slices.Concat(box("ftyp", []byte("M4A 0000")), box("moov", box("mvhd", oldMovie, make([]byte, 80)), title)),
	"x.aac":           []byte(adtsFrames(78)[:7800] + "\xff\xf1\x6c\x40\x0c\x9f\xfc" + strings.Repeat("\x00", 93)),
	"x.wav":           slices.Concat(riff, chunk("LIST", []byte("odd")), []byte{0}, chunk("data", make([]byte, 160_000))),
	"piped.wav":       slices.Concat(riff, []byte("data\xff\xff\xff\xff"), make([]byte, 160_000)),
	"x.opus":          slices.Concat(page(0, opusHead), page(9, []byte("x")), page(480_312, bytes.Repeat([]byte("y"), 200))),
	"x.ogg":           slices.Concat(page(0, vorbis), page(441_000, []byte("y")), page(1<<64-1, []byte("unfinished"))),
	"x.m4a":           slices.Concat(box("ftyp", []byte("M4A 0000")), box("mdat", make([]byte, 1000)), box("moov", box("udta"), box("mvhd", oldMovie, make([]byte, 80)))),
	"new.m4a":         slices.Concat(box("ftyp", []byte("M4A 0000")), box("moov", box("mvhd", newMovie, make([]byte, 80)))),
	"x.flac":          append(flacHead, make([]byte, 100)...),
	"capital.M4A":     slices.Concat(box("ftyp", []byte("M4A 0000")), box("moov", box("mvhd", oldMovie, make([]byte, 80)))),
}

func TestOtherFormats(t *testing.T) {
	t.Parallel()
	for name, b := range otherFiles {
		a := read(t, name, b)
		if a.DurationSeconds == nil || math.Abs(*a.DurationSeconds-10) > 0.15 || len(a.Faults) > 0 {
			t.Errorf("%s: it plays %v s, with faults %v", name, a.DurationSeconds, a.Faults)
		}
	}
}

func TestOtherFormatsCutOff(t *testing.T) {
	t.Parallel()
	for name, keep := range map[string]int{"x.wav": 100_000, "x.m4a": 500, "x.flac": 20, "x.ogg": 30, "x.opus": 300, "new.m4a": 20, "x.aac": 7810} {
		if got := codes(read(t, name, otherFiles[name][:keep])); !slices.Equal(got, []codestory.AudioFaultCode{codestory.Truncated}) {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestOtherTags(t *testing.T) {
	t.Parallel()
	for name, picture := range map[string]int64{
		"tag before.wav": 0, "tagged.flac": 7, "title.flac": 0, "chained.opus": 0, "two at once.ogg": 0, "title.m4a": 7,
	} {
		a := read(t, name, otherFiles[name])
		if a.Title != "Title" || (picture > 0) != (a.Cover != nil) || a.Cover != nil && *a.Cover != (codestory.AudioCover{ContentType: "image/jpeg", Size: picture}) {
			t.Errorf("%s: title %q, cover %+v", name, a.Title, a.Cover)
		}
	}
}

// Of two WAVs put together players play the first.
func TestConcatenatedWAV(t *testing.T) {
	t.Parallel()
	a := read(t, "x.wav", append(bytes.Clone(otherFiles["x.wav"]), otherFiles["x.wav"]...))
	if got := codes(a); !slices.Equal(got, []codestory.AudioFaultCode{codestory.Concatenated}) || *a.DurationSeconds != 10 || a.Bitrate != 128_000 {
		t.Errorf("%+v", a)
	}
}

// A file that is not what its name says plays in some players only.
func TestNameOfAnother(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"x.wav", "x.ogg", "x.m4a", "x.flac", "x.opus"} {
		a := read(t, "x.mp3", otherFiles[name])
		if got := codes(a); !slices.Equal(got, []codestory.AudioFaultCode{codestory.OtherFormat}) || *a.DurationSeconds != 10 {
			t.Errorf("%s as MP3: %+v", name, a)
		}
	}
	if a := read(t, "x.mp3", otherFiles["x.aac"]); !slices.Equal(codes(a), []codestory.AudioFaultCode{codestory.OtherFormat}) ||
		!strings.Contains(a.Faults[0].Message, "AAC") || a.SoundSize != 0 {
		t.Errorf("AAC as MP3: %+v", a)
	}
	if got := codes(read(t, "x.flac", frames(frame128, 10))); !slices.Equal(got, []codestory.AudioFaultCode{codestory.OtherFormat}) {
		t.Errorf("MP3 as FLAC: %v", got)
	}
}
