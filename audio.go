package codestory

// Audio is what a file of sound says of itself. It is read once, when the file is settled, and never changed in the
// file.
type Audio struct {
	DurationSeconds *float64     `json:"duration_seconds"` // nil where it cannot be told
	Bitrate         int          `json:"bitrate"`          // bits per second, the average; 0 where it cannot be told
	Title           string       `json:"title"`            // of its tags
	Cover           *AudioCover  `json:"cover"`            // of its tags
	SoundOffset     int64        `json:"sound_offset"`     // where the sound begins, behind tags; 0 where it cannot be told
	SoundSize       int64        `json:"sound_size"`       // bytes of sound from there on
	Faults          []AudioFault `json:"faults"`           // what players trip over
}

// AudioCover is the picture in a file's tags.
type AudioCover struct {
	ContentType string `json:"content_type"` // as the tag has it
	Size        int64  `json:"size"`         // bytes
}

// AudioFault is something that players trip over.
type AudioFault struct {
	Code    AudioFaultCode `json:"code"`
	Message string         `json:"message"` // a sentence: what is wrong, what it does, and how the file is made anew
}

// AudioFaultCode is a fault's name, for programs.
type AudioFaultCode string

const (
	NotAudio        AudioFaultCode = "not_audio"         // nothing in it plays
	OtherFormat     AudioFaultCode = "other_format"      // it plays, and is not what its ending says
	FreeFormat      AudioFaultCode = "free_format"       // MPEG audio whose frames do not say their bitrate, which few players take
	NoLengthHeader  AudioFaultCode = "no_length_header"  // of varying bitrate, and without a Xing or VBRI header
	BadLengthHeader AudioFaultCode = "bad_length_header" // its Xing or VBRI header counts other frames than there are
	Concatenated    AudioFaultCode = "concatenated"      // streams that were written one behind the other
	Truncated       AudioFaultCode = "truncated"         // its last frame is cut off
	Interrupted     AudioFaultCode = "interrupted"       // bytes between its frames that are none
)
