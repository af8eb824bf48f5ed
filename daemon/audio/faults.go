package audio

import (
	"fmt"

	"github.com/codestory/codestoryd"
)

// A fault says what is wrong, what players make of it, and how the file is made anew: nothing here changes it.

func notAudio(what string) codestory.AudioFault {
	return codestory.AudioFault{Code: codestory.NotAudio, Message: what + ": nothing plays it"}
}

func otherFormat(is, says format) codestory.AudioFault {
	return codestory.AudioFault{Code: codestory.OtherFormat, Message: fmt.Sprintf(
		"it is %s, and its name says %s: players that go by the name refuse it; rename it, or encode it as %s", is, says, says)}
}

func freeFormat() codestory.AudioFault {
	return codestory.AudioFault{Code: codestory.FreeFormat, Message: "it is MPEG audio in free format, whose frames do not say their " +
		"bitrate: many players refuse it, or cannot seek; encode it at a bitrate of up to 320 kbit/s"}
}

func noLengthHeader() codestory.AudioFault {
	return codestory.AudioFault{Code: codestory.NoLengthHeader, Message: "its bitrate varies and no Xing header says how long " +
		"it is: players guess, and seek to wrong places; ffmpeg -i FILE -c copy NEW writes one"}
}

func badLengthHeader(name string, counted, frames int64) codestory.AudioFault {
	return codestory.AudioFault{Code: codestory.BadLengthHeader, Message: fmt.Sprintf(
		"its %s header counts %d frames and there are %d: players show a wrong length, and may stop early; ffmpeg -i FILE -c copy NEW writes a right one",
		name, counted, frames)}
}

func concatenated(streams int) codestory.AudioFault {
	return codestory.AudioFault{Code: codestory.Concatenated, Message: fmt.Sprintf(
		"%d streams were written one behind the other: players show the length of the first, and may stop there; join the recordings before they are encoded",
		streams)}
}

func truncated(what string) codestory.AudioFault {
	return codestory.AudioFault{Code: codestory.Truncated, Message: what + ": it was not written to its end, and some players " +
		"report an error there; make it again"}
}

func interrupted(bytes int64) codestory.AudioFault {
	return codestory.AudioFault{Code: codestory.Interrupted, Message: fmt.Sprintf(
		"%d bytes between its frames are no audio: players click or stop there; make it again", bytes)}
}
