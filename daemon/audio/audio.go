// Package audio reads what an audio file says of itself: how long it plays, its title and cover, and its playback problems. It
// must not know where the bytes come from or what becomes of the answer. Chapters, album and language are to be read where
// the title is: ID3 frames in id3.go, atoms in mp4.go, Vorbis comments in vorbis.go.
//
// The bytes may be anything. Memory is bounded: nothing is allocated by a size that a file states. So is the time for each
// byte; of a file of many gigabytes the beginning is read and the rest estimated. Nothing is decoded.
package audio

import (
	"bytes"
	"context"
	"io"
	"path"
	"strings"
	"unicode"

	"github.com/codestory/codestoryd"
)

// format is what the bytes are.
type format string

const (
	unknown format = ""
	mp3     format = "MP3"
	mp4     format = "MP4"
	ogg     format = "Ogg"
	wav     format = "WAV"
	flac    format = "FLAC"
	aac     format = "AAC"
)

// formats are what endings say.
var formats = map[string]format{
	".mp3": mp3, ".m4a": mp4, ".m4b": mp4, ".ogg": ogg, ".oga": ogg, ".opus": ogg, ".wav": wav, ".flac": flac,
	".aac": aac,
}

// Known reports whether the name's ending is one of a file that Read understands.
func Known(name string) bool { return formats[strings.ToLower(path.Ext(name))] != unknown }

// Read reads the facts of a file of that name and of size bytes. Its error is one of reading, or ctx's: nothing is known
// then. What is wrong with the bytes is among the facts.
func Read(ctx context.Context, r io.ReaderAt, size int64, name string) (codestory.Audio, error) {
	w := newWindow(ctx, r, size)
	facts := codestory.Audio{Faults: []codestory.AudioFault{}}
	if size == 0 {
		addFault(&facts, notAudio("the file is empty"))
		return facts, nil
	}
	says := formats[strings.ToLower(path.Ext(name))]
	start := skipID3(w, 0)
	is := sniff(w, start)
	switch is {
	case mp4:
		readMP4(w, start, &facts)
	case ogg:
		readOgg(w, start, &facts)
	case wav:
		readWAV(w, start, &facts)
	case flac:
		readFLAC(w, start, &facts)
	case aac:
		readADTS(w, start, &facts)
	default:
		if readMP3(w, start, &facts) {
			is = mp3
		}
	}
	switch {
	case is == unknown:
		addFault(&facts, notAudio("it holds no audio that a player would know"))
	case is != says:
		addFault(&facts, otherFormat(is, says))
	}
	if is != unknown && is != mp3 {
		readID3(w, 0, start, &facts) // what the format says itself counts first
	}
	if facts.DurationSeconds != nil && facts.Bitrate == 0 {
		facts.Bitrate = int(float64(size) * 8 / *facts.DurationSeconds)
	}
	return facts, w.err
}

// sniff tells the formats that begin with their name.
func sniff(w *window, at int64) format {
	b := w.at(at, 12)
	switch {
	case len(b) < 12:
		return unknown
	case isWAV(b):
		return wav
	case bytes.HasPrefix(b, []byte("fLaC")):
		return flac
	case bytes.HasPrefix(b, []byte("OggS")):
		return ogg
	case string(b[4:8]) == "ftyp":
		return mp4
	case isADTS(w, at):
		return aac
	default:
		return unknown
	}
}

// plays notes how long the file plays, if that can be. Years are taken for noise.
func plays(facts *codestory.Audio, seconds float64) {
	if seconds > 0 && seconds < 1e8 {
		facts.DurationSeconds = &seconds
	}
}

func addFault(facts *codestory.Audio, f codestory.AudioFault) { facts.Faults = append(facts.Faults, f) }

const maxTitle = 1000 // characters

// setTitle notes a title, if there is none yet.
func setTitle(facts *codestory.Audio, s string) {
	if facts.Title == "" {
		facts.Title = oneLine(s)
	}
}

// setCover notes a picture, if there is none yet.
func setCover(facts *codestory.Audio, contentType string, size int64) {
	if facts.Cover == nil && size > 0 {
		facts.Cover = &codestory.AudioCover{ContentType: oneLine(contentType), Size: size}
	}
}

// oneLine makes one line of a text of a tag.
func oneLine(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, ""))
	runes := []rune(strings.Join(strings.Fields(s), " "))
	return string(runes[:min(len(runes), maxTitle)])
}
