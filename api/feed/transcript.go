package feed

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// TranscriptType is the content type of a transcript.
const TranscriptType = "text/vtt; charset=utf-8"

const timestamp = `(?:(\d{1,6}):)?([0-5]\d):([0-5]\d)\.(\d{3})`

var (
	cueTimes   = regexp.MustCompile(`^[ \t]*` + timestamp + `[ \t]+-->[ \t]+` + timestamp + `(.*)$`)
	inlineTime = regexp.MustCompile(`<` + timestamp + `>`)
)

// CutTranscript is the part of a WebVTT file that is said between two times, in seconds, with its own beginning at 0. A
// cue belongs where its middle is. All that is no cue, such as styles, stays.
func CutTranscript(vtt string, from, to float64) string {
	vtt = strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(vtt)
	var kept []string
	for block := range strings.SplitSeq(strings.TrimPrefix(vtt, "\ufeff"), "\n\n") {
		if block = strings.Trim(block, "\n"); block == "" {
			continue
		}
		if cut, ok := cutCue(block, from, to); ok {
			kept = append(kept, cut)
		}
	}
	if len(kept) == 0 || !strings.HasPrefix(kept[0], "WEBVTT") {
		kept = append([]string{"WEBVTT"}, kept...)
	}
	return strings.Join(kept, "\n\n") + "\n"
}

// cutCue moves a cue in time; false if it is said at another time. Any other block stays as it is.
func cutCue(block string, from, to float64) (string, bool) {
	lines := strings.Split(block, "\n")
	for i, l := range lines[:min(2, len(lines))] { // the times may stand behind the cue's name
		m := cueTimes.FindStringSubmatch(l)
		if m == nil {
			continue
		}
		start, end := seconds(m[1:5]), seconds(m[5:9])
		if middle := (start + end) / 2; middle < from || middle >= to {
			return "", false
		}
		lines[i] = clock(max(start, from)-from) + " --> " + clock(min(end, to)-from) + m[9]
		for j := i + 1; j < len(lines); j++ {
			lines[j] = inlineTime.ReplaceAllStringFunc(lines[j], func(s string) string {
				return "<" + clock(max(0, seconds(inlineTime.FindStringSubmatch(s)[1:])-from)) + ">"
			})
		}
		return strings.Join(lines, "\n"), true
	}
	return block, true
}

// seconds is the time of hours, minutes, seconds and milliseconds.
func seconds(fields []string) float64 {
	var n [4]int
	for i, f := range fields {
		n[i], _ = strconv.Atoi(f) // digits only, or none
	}
	return float64(n[0]*3600+n[1]*60+n[2]) + float64(n[3])/1000
}

func clock(s float64) string {
	ms := int64(s*1000 + 0.5)
	return fmt.Sprintf("%02d:%02d:%02d.%03d", ms/3_600_000, ms/60_000%60, ms/1000%60, ms%1000)
}
