package audio_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/daemon/audio"
)

// read reads the facts of a file in memory.
func read(t *testing.T, name string, b []byte) codestory.Audio {
	t.Helper()
	facts, err := audio.Read(t.Context(), bytes.NewReader(b), int64(len(b)), name)
	if err != nil {
		t.Fatal(err)
	}
	return facts
}

func codes(a codestory.Audio) []codestory.AudioFaultCode {
	list := []codestory.AudioFaultCode{}
	for _, f := range a.Faults {
		list = append(list, f.Code)
	}
	return list
}

// Frames of MPEG 1, layer 3, 48 kHz, in stereo: 24 ms each.
const (
	frame128 = "\xff\xfb\x94\x00" // 128 kbit/s: 384 bytes
	frame64  = "\xff\xfb\x54\x00" // 64 kbit/s: 192 bytes
	mpeg2    = "\xff\xf3\x84\xc0" // MPEG 2 in mono, 64 kbit/s at 24 kHz: 192 bytes
)

var sizes = map[string]int{frame128: 384, frame64: 192, mpeg2: 192}

// frames are n frames that begin with that header.
func frames(header string, n int) []byte {
	f := make([]byte, sizes[header])
	copy(f, header)
	return bytes.Repeat(f, n)
}

// xing is a frame that says how many follow.
func xing(name string, n int) []byte {
	f := frames(frame128, 1)
	copy(f[36:], name)
	binary.BigEndian.PutUint32(f[40:], 1)
	binary.BigEndian.PutUint32(f[44:], uint32(n))
	return f
}

func vbri(n int) []byte {
	f := frames(frame128, 1)
	copy(f[36:], "VBRI")
	binary.BigEndian.PutUint32(f[50:], uint32(n))
	return f
}

// id3 is an ID3v2.3 tag of these frames.
func id3(framesOfIt ...[]byte) []byte {
	body := slices.Concat(framesOfIt...)
	size := len(body)
	return append([]byte{'I', 'D', '3', 3, 0, 0, byte(size >> 21 & 0x7f), byte(size >> 14 & 0x7f), byte(size >> 7 & 0x7f), byte(size & 0x7f)}, body...)
}

func id3Frame(name string, body []byte) []byte {
	return slices.Concat([]byte(name), binary.BigEndian.AppendUint32(nil, uint32(len(body))), []byte{0, 0}, body)
}

func id3v1(title string) []byte {
	b := make([]byte, 128)
	copy(b, "TAG"+title)
	return b
}

// tagOf is an ID3v2 tag of that version.
func tagOf(version, flags byte, parts ...[]byte) []byte {
	tag := id3(parts...)
	tag[3], tag[5] = version, flags
	return tag
}

// unsynced puts a zero behind each 0xff that could begin a frame of sound.
func unsynced(b []byte) []byte {
	b = bytes.ReplaceAll(b, []byte("\xff\x00"), []byte("\xff\x00\x00"))
	return bytes.ReplaceAll(bytes.ReplaceAll(b, []byte("\xff\xfe"), []byte("\xff\x00\xfe")), []byte("\xff\xe0"), []byte("\xff\x00\xe0"))
}

func unsyncedFrame(name string, body []byte) []byte {
	f := id3Frame(name, unsynced(body))
	f[9] = 2
	return f
}

// withFooter is the tag with one, as it stands behind sound.
func withFooter(tag []byte) []byte {
	tag[3], tag[5] = 4, 0x10
	footer := bytes.Clone(tag[:10])
	copy(footer, "3DI")
	return append(tag, footer...)
}

func apeTitle(title string) []byte {
	item := append(binary.LittleEndian.AppendUint32(nil, uint32(len(title))), "\x00\x00\x00\x00Title\x00"+title...)
	footer := append([]byte("APETAGEX\xd0\x07\x00\x00"), make([]byte, 20)...)
	binary.LittleEndian.PutUint32(footer[12:], uint32(len(item)+32))
	footer[16] = 1
	return append(item, footer...)
}

// ape is an APE tag with a header and a footer.
func ape(size int) []byte {
	end := append([]byte("APETAGEX\xd0\x07\x00\x00"), make([]byte, 20)...)
	binary.LittleEndian.PutUint32(end[12:], uint32(size+32))
	binary.LittleEndian.PutUint32(end[20:], 1<<31)
	return slices.Concat(end, make([]byte, size), end)
}

func TestMP3(t *testing.T) {
	t.Parallel()
	vbr := slices.Concat(frames(frame128, 50), frames(frame64, 50))
	tag := id3(id3Frame("TIT2", []byte("\x03Title")))
	for name, c := range map[string]struct {
		file   []byte
		frames int // that play, 24 ms each
		faults []codestory.AudioFaultCode
	}{
		"constant":                    {frames(frame128, 100), 100, nil},
		"constant, counted":           {append(xing("Info", 100), frames(frame128, 100)...), 100, nil},
		"constant, counted with it":   {append(xing("Info", 101), frames(frame128, 100)...), 100, nil},
		"varying, counted":            {append(xing("Xing", 100), vbr...), 100, nil},
		"varying, counted by VBRI":    {append(vbri(100), vbr...), 100, nil},
		"varying":                     {vbr, 100, []codestory.AudioFaultCode{codestory.NoLengthHeader}},
		"counted too few":             {append(xing("Xing", 50), vbr...), 100, []codestory.AudioFaultCode{codestory.BadLengthHeader}},
		"constant, counted too many":  {append(xing("Info", 900), frames(frame128, 100)...), 100, []codestory.AudioFaultCode{codestory.BadLengthHeader}},
		"MPEG 2":                      {frames(mpeg2, 100), 100, nil},
		"one frame":                   {frames(frame128, 1), 1, nil},
		"two frames":                  {frames(frame128, 2), 2, nil},
		"tags at both ends":           {slices.Concat(tag, frames(frame128, 10), ape(90), id3v1("x")), 10, nil},
		"two tags before":             {slices.Concat(tag, tag, frames(frame128, 10)), 10, nil},
		"a tag without a footer":      {slices.Concat(tag, frames(frame128, 10), tag), 10, nil},
		"lyrics of the first version": {slices.Concat(frames(frame128, 10), []byte("LYRICSBEGINx\r\nLYRICSEND"), id3v1("x")), 10, nil},
		"lyrics behind":               {slices.Concat(frames(frame128, 10), []byte("LYRICSBEGIN000011LYRICS200"), id3v1("x")), 10, nil},
		"padding before and behind":   {slices.Concat(tag, make([]byte, 5000), frames(frame128, 10), make([]byte, 5000)), 10, nil},
		"cut in the last frame":       {frames(frame128, 100)[:99*384+7], 99, []codestory.AudioFaultCode{codestory.Truncated}},
		"cut, with a tag behind":      {append(frames(frame128, 100)[:100*384-1], id3v1("x")...), 99, []codestory.AudioFaultCode{codestory.Truncated}},
		"two files":                   {slices.Concat(tag, frames(frame128, 10), tag, frames(frame128, 10)), 20, []codestory.AudioFaultCode{codestory.Concatenated}},
		"two files of another kind":   {slices.Concat(frames(frame128, 10), frames(mpeg2, 10)), 20, []codestory.AudioFaultCode{codestory.Concatenated}},
		"two files with old tags":     {slices.Concat(frames(frame128, 10), id3v1("x"), frames(frame128, 10), id3v1("y")), 20, []codestory.AudioFaultCode{codestory.Concatenated}},
		"two files with APE tags":     {slices.Concat(frames(frame128, 10), ape(70), frames(frame128, 10)), 20, []codestory.AudioFaultCode{codestory.Concatenated}},
		"two files that count frames": {slices.Concat(xing("Info", 10), frames(frame128, 10), tag, xing("Info", 10), frames(frame128, 10)), 20, []codestory.AudioFaultCode{codestory.Concatenated, codestory.BadLengthHeader}},
		"noise in the middle":         {slices.Concat(frames(frame128, 10), bytes.Repeat([]byte("noise \xff\xfb"), 500), frames(frame128, 10)), 20, []codestory.AudioFaultCode{codestory.Interrupted}},
		"noise behind":                {append(frames(frame128, 10), "noise"...), 10, []codestory.AudioFaultCode{codestory.Interrupted}},
	} {
		a := read(t, "x.mp3", c.file)
		seconds := float64(c.frames) * 0.024
		if a.DurationSeconds == nil || math.Abs(*a.DurationSeconds-seconds) > 1e-9 {
			t.Errorf("%s: it plays %v s, want %v", name, a.DurationSeconds, seconds)
		}
		if got := codes(a); !slices.Equal(got, c.faults) {
			t.Errorf("%s: faults %v, want %v", name, a.Faults, c.faults)
		}
	}
}

// What plays begins behind what only describes it, so that files can be played one behind the other.
func TestSound(t *testing.T) {
	t.Parallel()
	before := append(id3(id3Frame("TIT2", []byte("\x00T"))), xing("Info", 10)...)
	a := read(t, "x.mp3", slices.Concat(before, frames(frame128, 10), id3v1("x")))
	if a.SoundOffset != int64(len(before)) || a.SoundSize != 3840 || a.Bitrate != 128000 {
		t.Errorf("%d bytes from %d on at %d bit/s, want 3840 from %d on at 128000", a.SoundSize, a.SoundOffset, a.Bitrate, len(before))
	}
}

func TestTags(t *testing.T) {
	t.Parallel()
	picture := id3Frame("APIC", append([]byte("\x00image/png\x00\x03cover\x00"), bytes.Repeat([]byte("p"), 1234)...))
	for name, c := range map[string]struct {
		tag, behind []byte
		title       string
		cover       *codestory.AudioCover
	}{
		"none":        {},
		"UTF-8":       {tag: id3(id3Frame("TIT2", []byte("\x03Über\n<b>"))), title: "Über <b>"},
		"UTF-16":      {tag: id3(id3Frame("TIT2", []byte("\x01\xff\xfe\xdc\x00b\x00"))), title: "Üb"},
		"Latin-1":     {tag: id3(id3Frame("TIT2", []byte("\x00\xdcb"))), title: "Üb"},
		"cover":       {tag: id3(picture, id3Frame("TIT2", []byte("\x03T"))), title: "T", cover: &codestory.AudioCover{ContentType: "image/png", Size: 1234}},
		"old":         {behind: id3v1("Old \xdcb"), title: "Old Üb"},
		"new and old": {tag: id3(id3Frame("TIT2", []byte("\x03New"))), behind: id3v1("Old"), title: "New"},
		"not UTF-8":   {tag: id3(id3Frame("TIT2", []byte("\x03a\xffb\x00"))), title: "ab"},
		"broken":      {tag: id3([]byte("TIT2\x7f\xff\xff\xff\x00\x00"))},
		"endless":     {tag: id3(bytes.Repeat(id3Frame("TXXX", []byte("\x00")), 100_000))},
		"long":        {tag: id3(id3Frame("TIT2", []byte("\x03"+strings.Repeat("x", 5000)))), title: strings.Repeat("x", 1000)},
		"odd UTF-16":  {tag: id3(id3Frame("TIT2", []byte("\x01\xff\xfea\x00b"))), title: "a"},
		"compressed":  {tag: id3(slices.Concat([]byte("TIT2\x00\x00\x00\x05\x00\x80"), []byte("\x00\x00\x00\x01x")), id3Frame("TIT2", []byte("\x03T"))), title: "T"},
		"behind much": {tag: id3(id3Frame("PRIV", make([]byte, 3<<20)), id3Frame("TIT2", []byte("\x03T"))), title: "T"},
		"second tag":  {tag: append(id3(id3Frame("PRIV", []byte("x"))), id3(id3Frame("TIT2", []byte("\x03T")))...), title: "T"},
		"APE":         {behind: apeTitle("Über"), title: "Über"},
		"APE and old": {behind: append(apeTitle("New"), id3v1("Old")...), title: "New"},
		"trailing":    {behind: id3(id3Frame("TIT2", []byte("\x03T"))), title: "T"},
		"with footer": {behind: withFooter(id3(id3Frame("TIT2", []byte("\x03T")))), title: "T"},
		"lyrics":      {behind: slices.Concat([]byte("LYRICSBEGINsome linesLYRICSEND"), id3v1("Old")), title: "Old"},
		"enhanced":    {behind: append(append([]byte("TAG+"), make([]byte, 223)...), id3v1("Old")...), title: "Old"},
		"version 2.2": {tag: tagOf(2, 0, []byte("TT2\x00\x00\x02\x00T"), []byte("PIC\x00\x00\x08\x00JPG\x03\x00xx")), title: "T",
			cover: &codestory.AudioCover{ContentType: "image/jpeg", Size: 2}},
		"2.4":                           {tag: tagOf(4, 0, id3Frame("TIT2", []byte("\x03T\x00second"))), title: "T"},
		"2.4 with a length and a group": {tag: tagOf(4, 0, []byte("TIT2\x00\x00\x00\x07\x00\x41g\x00\x00\x00\x02\x03T")), title: "T"},
		"2.4 with an extended header":   {tag: tagOf(4, 0x40, []byte("\x00\x00\x00\x06\x01\x00"), id3Frame("TIT2", []byte("\x03T"))), title: "T"},
		"2.3 with an extended header":   {tag: tagOf(3, 0x40, []byte("\x00\x00\x00\x06\x00\x00\x00\x00\x00\x00"), id3Frame("TIT2", []byte("\x03T"))), title: "T"},
		"plain sizes in 2.4": {tag: tagOf(4, 0, picture, id3Frame("TIT2", []byte("\x03T"))), title: "T",
			cover: &codestory.AudioCover{ContentType: "image/png", Size: 1234}},
		"unsynchronised 2.3": {tag: tagOf(3, 0x80, unsynced(append(id3Frame("APIC", []byte("\x00image/png\x00\x03\x00\xff\x00\xff\xe0\x00")),
			id3Frame("TIT2", []byte("\x01\xff\xfeT\x00"))...))), title: "T", cover: &codestory.AudioCover{ContentType: "image/png", Size: 5}},
		"unsynchronised frames": {tag: tagOf(4, 0, unsyncedFrame("APIC", []byte("\x00image/png\x00\x03\x00\xff\x00\xff\xe0\x00")),
			unsyncedFrame("TIT2", []byte("\x01\xff\xfeT\x00"))), title: "T", cover: &codestory.AudioCover{ContentType: "image/png", Size: 5}},
	} {
		a := read(t, "x.mp3", slices.Concat(c.tag, frames(frame128, 3), c.behind))
		if a.Title != c.title || (a.Cover == nil) != (c.cover == nil) || a.Cover != nil && *a.Cover != *c.cover {
			t.Errorf("%s: title %q and cover %+v, want %q and %+v", name, a.Title, a.Cover, c.title, c.cover)
		}
		if len(a.Faults) > 0 {
			t.Errorf("%s: %v", name, a.Faults)
		}
	}
}

// free are n frames of layer 3 in free format of that size, of which every third is padded.
func free(header string, size, n int) []byte {
	var b []byte
	for i := range n {
		f := make([]byte, size)
		copy(f, header)
		if i%3 == 2 {
			f[2] |= 1 << 1
			f = append(f, 0)
		}
		b = append(b, f...)
	}
	return b
}

// What has no bitrate plays in some players, and is told as what it is.
func TestFreeFormat(t *testing.T) {
	t.Parallel()
	const mpeg1, other = "\xff\xfb\x04\x00", "\xff\xf3\x04\x00" // 48 kHz, and MPEG 2 at 24 kHz: 24 ms each
	tag := id3(id3Frame("TIT2", []byte("\x03Title")))
	for name, c := range map[string]struct {
		file   []byte
		frames float64
	}{
		"frames":               {free(mpeg1, 1200, 90), 90},
		"of MPEG 2":            {free(other, 700, 90), 90},
		"behind a tag":         {slices.Concat(tag, free(mpeg1, 1200, 90), id3v1("x")), 90},
		"behind a frame of it": {append(xing("Info", 90), free(mpeg1, 1200, 90)...), 90},
		"cut off":              {free(mpeg1, 1200, 90)[:100_000], 100_000 / (1200 + 1./3)},
	} {
		a := read(t, "x.mp3", c.file)
		if !slices.Equal(codes(a), []codestory.AudioFaultCode{codestory.FreeFormat}) {
			t.Errorf("%s: %+v", name, a)
		}
		if a.DurationSeconds == nil || math.Abs(*a.DurationSeconds-c.frames*0.024) > 0.001 {
			t.Errorf("%s: it plays %v s, want %v", name, a.DurationSeconds, c.frames*0.024)
		}
	}
	if a := read(t, "x.mp3", slices.Concat(tag, free(mpeg1, 1000, 90))); a.Title != "Title" || a.SoundOffset != int64(len(tag)) || a.Bitrate/1000 != 333 {
		t.Errorf("%+v", a)
	}
}

func TestNotAudio(t *testing.T) {
	t.Parallel()
	for name, b := range map[string][]byte{
		"nothing": {}, "text": []byte("not audio, whatever its name says"), "zeros": make([]byte, 1<<20),
		"JSON": []byte(`{"error": "quota"}`), "one header": []byte("\xff\xfb\x94\x00"), "a tag alone": id3(id3Frame("TIT2", []byte("\x03T"))),
		"a tag that is too long": []byte("ID3\x03\x00\x00\x7f\x7f\x7f\x7fxxx"), "0xff": bytes.Repeat([]byte{0xff}, 100_000),
		"a length and no frames": xing("Xing", 15),
		"a header of no bitrate": append([]byte("\xff\xfb\x04\x00"), make([]byte, 100_000)...),
		"headers of no bitrate":  free("\xff\xfb\x04\x00", 500, 3),
	} {
		if a := read(t, "x.mp3", b); !slices.Equal(codes(a), []codestory.AudioFaultCode{codestory.NotAudio}) || a.DurationSeconds != nil {
			t.Errorf("%s: %+v", name, a)
		}
	}
}

// The stories of testdata play as long as their metadata says, and have no fault.
func TestRealFiles(t *testing.T) {
	t.Parallel()
	dir := filepath.Join("..", "..", "testdata", "output", "3f0e8a52-6c1b-4d7e-9a34-5b2c8d917e06")
	b, err := os.ReadFile(filepath.Join(dir, "metadata.json"))
	if err != nil {
		t.Fatal(err)
	}
	metadata, _, err := codestory.ParseMetadata(b)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range metadata.Chapters {
		b, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(codestory.ChapterPath("x", c.Number).InStory())))
		if err != nil {
			t.Fatal(err)
		}
		a := read(t, "x.mp3", b)
		if len(a.Faults) > 0 || a.Title != c.Title || a.Bitrate != 24000 || math.Abs(*a.DurationSeconds-*c.DurationSeconds) > 0.001 {
			t.Errorf("chapter %d: %+v of %v s, want %q of %v s", c.Number, a, *a.DurationSeconds, c.Title, *c.DurationSeconds)
		}
	}
}

// longFile is a file of many gigabytes that is not there: frames of 384 bytes.
type longFile struct{ read int64 }

func (f *longFile) ReadAt(b []byte, off int64) (int, error) {
	f.read += int64(len(b))
	clear(b)
	for at := (384 - int(off%384)) % 384; at < len(b); at += 384 {
		copy(b[at:], frame128)
	}
	return len(b), nil
}

// Of a file of any size a part is read, and the rest reckoned.
func TestLongFile(t *testing.T) {
	t.Parallel()
	const frames = 20 << 20 // 7.5 GiB
	f := &longFile{}
	a, err := audio.Read(t.Context(), f, frames*384, "x.mp3")
	if err != nil || len(a.Faults) > 0 || math.Abs(*a.DurationSeconds-frames*0.024) > 1 || f.read > 1<<30+1<<20 {
		t.Errorf("%+v, %v; %d bytes were read", a, err, f.read)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := audio.Read(ended, f, frames*384, "x.mp3"); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
}

type brokenDisk struct{ io.ReaderAt }

var errDisk = errors.New("disk on fire")

func (d brokenDisk) ReadAt(b []byte, off int64) (int, error) {
	if off > 300_000 {
		return 0, errDisk
	}
	return d.ReaderAt.ReadAt(b, off)
}

// A fault of the disk is none of the file.
func TestUnreadable(t *testing.T) {
	t.Parallel()
	b := frames(frame128, 5000)
	if _, err := audio.Read(t.Context(), brokenDisk{bytes.NewReader(b)}, int64(len(b)), "x.mp3"); !errors.Is(err, errDisk) {
		t.Errorf("got %v, want %v", err, errDisk)
	}
	if _, err := audio.Read(t.Context(), bytes.NewReader(b), int64(len(b))+1, "x.mp3"); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("of a file that became shorter: got %v, want %v", err, io.ErrUnexpectedEOF)
	}
}

func TestKnown(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]bool{"a/b.mp3": true, "B.MP3": true, "x.opus": true, "x.json": false, "mp3": false, "x.mp3.json": false} {
		if got := audio.Known(name); got != want {
			t.Errorf("%s: got %t", name, got)
		}
	}
}

func FuzzRead(f *testing.F) {
	for name, b := range otherFiles {
		f.Add(name, b)
	}
	f.Add("x.mp3", slices.Concat(id3(id3Frame("TIT2", []byte("\x01\xff\xfea\x00")), id3Frame("APIC", []byte("\x00image/png\x00\x03\x00data"))),
		xing("Xing", 3), frames(frame128, 2), frames(frame64, 2), []byte("noise"), frames(mpeg2, 3), ape(40), id3v1("t")))
	f.Fuzz(checkRead)
}

// checkRead reads any bytes, and holds the facts against what can be.
func checkRead(t *testing.T, name string, b []byte) {
	a, err := audio.Read(t.Context(), smallReads{t, bytes.NewReader(b)}, int64(len(b)), name)
	if err != nil {
		t.Fatal(err)
	}
	if a.DurationSeconds != nil && !(*a.DurationSeconds > 0 && *a.DurationSeconds < 1e8) {
		t.Errorf("it plays %v s", *a.DurationSeconds)
	}
	if a.SoundOffset < 0 || a.SoundSize < 0 || a.SoundOffset+a.SoundSize > int64(len(b)) || a.Bitrate < 0 {
		t.Errorf("%d bytes of sound from %d on at %d bit/s, of %d", a.SoundSize, a.SoundOffset, a.Bitrate, len(b))
	}
	if len(a.Title) > 4000 || a.Cover != nil && (a.Cover.Size <= 0 || len(a.Cover.ContentType) > 4000) {
		t.Errorf("title %q, cover %+v", a.Title, a.Cover)
	}
}

// smallReads fails the test if more is read at once than fits into a buffer of a fixed size.
type smallReads struct {
	t *testing.T
	r io.ReaderAt
}

func (s smallReads) ReadAt(b []byte, off int64) (int, error) {
	if len(b) > 256<<10 {
		s.t.Errorf("%d bytes are read at once", len(b))
	}
	return s.r.ReadAt(b, off)
}

// Each parser is fuzzed behind what makes Read choose it.

func FuzzID3(f *testing.F) {
	f.Add(byte(3), byte(0), id3Frame("TIT2", []byte("\x01\xff\xfea\x00")))
	f.Add(byte(4), byte(0x80), unsyncedFrame("APIC", []byte("\x00image/png\x00\x03\x00\xff\x00")))
	f.Add(byte(2), byte(0x80), []byte("PIC\x00\x00\x08\x00JPG\x03\x00xx"))
	f.Fuzz(func(t *testing.T, version, flags byte, tag []byte) {
		checkRead(t, "x.mp3", slices.Concat(tagOf(version, flags, tag), frames(frame128, 3), tagOf(version, flags, tag), ape(40), id3v1("t")))
	})
}

func FuzzMP3(f *testing.F)  { fuzzBehind(f, "x.mp3", "", frame128+frame64, string(xing("Info", 3))) }
func FuzzADTS(f *testing.F) { fuzzBehind(f, "x.aac", adtsFrames(3), adtsFrames(2), adtsFrames(2)[:20]) }
func FuzzWAV(f *testing.F) {
	fuzzBehind(f, "x.wav", "RIFF\x00\x00\x00\x00WAVE", string(otherFiles["x.wav"][12:200]), "ds64\x1c\x00\x00\x00")
}
func FuzzFLAC(f *testing.F) {
	fuzzBehind(f, "x.flac", "fLaC", string(otherFiles["tagged.flac"][4:]), string(otherFiles["x.flac"][4:60]))
}
func FuzzOgg(f *testing.F) {
	fuzzBehind(f, "x.ogg", "OggS", string(otherFiles["chained.opus"][4:]), string(otherFiles["x.ogg"][4:]))
}
func FuzzMP4(f *testing.F) {
	fuzzBehind(f, "x.m4a", string(box("ftyp", []byte("M4A 0000"))), string(otherFiles["fragmented.m4a"][16:]), string(otherFiles["new.m4a"][16:]))
}

func fuzzBehind(f *testing.F, name, before string, seeds ...string) {
	for _, seed := range seeds {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) { checkRead(t, name, append([]byte(before), b...)) })
}
