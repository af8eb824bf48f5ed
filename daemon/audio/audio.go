// Package audio reads what a file of sound says of itself: how long it plays, its title and cover, and the faults that
// players trip over. It must not know where the bytes come from or what becomes of the answer.
//
// The bytes may be anything at all. Memory is bounded, and so is the time for each byte; of a file of many gigabytes the
// beginning is read and the rest reckoned. Nothing is decoded.
package audio

import (
	"bytes"
	"context"
	"io"
	"path"
	"strings"

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
)

// formats are what endings say.
var formats = map[string]format{
	".mp3": mp3, ".m4a": mp4, ".m4b": mp4, ".ogg": ogg, ".oga": ogg, ".opus": ogg, ".wav": wav, ".flac": flac,
}

// Known reports whether the name's ending is one of a file that Read understands.
func Known(name string) bool { return formats[strings.ToLower(path.Ext(name))] != unknown }

// Read reads the facts of a file of that name and of size bytes. Its error is one of reading, or ctx's: nothing is known
// then. What is wrong with the bytes is among the facts.
func Read(ctx context.Context, r io.ReaderAt, size int64, name string) (codestory.Audio, error) {
	w := newWindow(ctx, r, size)
	facts := codestory.Audio{Faults: []codestory.AudioFault{}}
	says := formats[strings.ToLower(path.Ext(name))]
	is := sniff(w)
	if size == 0 {
		facts.Faults = append(facts.Faults, notAudio("the file is empty"))
		return facts, nil
	}
	switch is {
	case mp4:
		readMP4(w, &facts)
	case ogg:
		readOgg(w, &facts)
	case wav:
		readWAV(w, &facts)
	case flac:
		readFLAC(w, &facts)
	default:
		if readMP3(w, &facts) {
			is = mp3
		}
	}
	switch {
	case is == unknown:
		facts.Faults = append(facts.Faults, notAudio("it holds no audio that a player would know"))
	case is != says:
		facts.Faults = append(facts.Faults, otherFormat(is, says))
	}
	if facts.DurationSeconds != nil && facts.Bitrate == 0 {
		facts.Bitrate = int(float64(size) * 8 / *facts.DurationSeconds)
	}
	return facts, w.err
}

// sniff tells the formats that begin with their name.
func sniff(w *window) format {
	b := w.at(0, 12)
	switch {
	case len(b) < 12:
		return unknown
	case bytes.HasPrefix(b, []byte("RIFF")) && string(b[8:]) == "WAVE", bytes.HasPrefix(b, []byte("RF64")) && string(b[8:]) == "WAVE":
		return wav
	case bytes.HasPrefix(b, []byte("fLaC")):
		return flac
	case bytes.HasPrefix(b, []byte("OggS")):
		return ogg
	case string(b[4:8]) == "ftyp":
		return mp4
	default:
		return unknown
	}
}

// plays notes how long the file plays, where that can be. Years are taken for noise.
func plays(facts *codestory.Audio, seconds float64) {
	if seconds > 0 && seconds < 1e8 {
		facts.DurationSeconds = &seconds
	}
}
