package feed

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// TranscriptType is the content type of a transcript.
const TranscriptType = "text/vtt; charset=utf-8"

// timestamp takes the decimal comma of SRT too.
const timestamp = `(?:(\d{1,6}):)?([0-5]?\d):([0-5]\d)[.,](\d{3})`

var (
	cueTimes   = regexp.MustCompile(`^[ \t]*` + timestamp + `[ \t]*-->[ \t]*` + timestamp + `(.*)$`)
	inlineTime = regexp.MustCompile(`<` + timestamp + `>`)
	cueNumber  = regexp.MustCompile(`^[ \t]*\d+[ \t]*$`)
)

// CutTranscript is the part of a WebVTT file that is said between two times, in seconds, with its own beginning at 0. A
// cue belongs where its middle is. All that is no cue, such as styles, stays. Of what is no WebVTT, SRT's times are read, and blank
// lines within cues.
func CutTranscript(vtt string, from, to float64) string {
	vtt = strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(vtt)
	var kept []string
	for _, block := range blocks(strings.TrimPrefix(vtt, "\ufeff")) {
		if cut, ok := cutCue(block, from, to); ok {
			kept = append(kept, strings.Join(cut, "\n"))
		}
	}
	if len(kept) == 0 || !strings.HasPrefix(kept[0], "WEBVTT") {
		kept = append([]string{"WEBVTT"}, kept...)
	}
	return strings.Join(kept, "\n\n") + "\n"
}

// blocks are the lines of a file between its blank lines, those of a cue together: of what follows its times all but comments is
// its text, up to the name of the next.
func blocks(vtt string) (list [][]string) {
	var split [][]string
	for block := range strings.SplitSeq(vtt, "\n\n") {
		if block = strings.Trim(block, "\n"); block != "" {
			split = append(split, strings.Split(block, "\n"))
		}
	}
	for i, lines := range split {
		last := len(list) - 1
		timed := i+1 < len(split) && cueTimes.MatchString(split[i+1][0])
		switch name := last >= 0 && len(list[last]) == 1 && cueNumber.MatchString(list[last][0]); {
		case name && cueTimes.MatchString(lines[0]):
			list[last] = append(list[last], lines...)
		case last < 0, timesOf(lines) >= 0, timesOf(list[last]) < 0, isComment(lines[0]),
			timed && len(lines) == 1 && cueNumber.MatchString(lines[0]):
			list = append(list, lines)
		default:
			list[last] = append(list[last], lines...)
		}
	}
	return list
}

func isComment(line string) bool {
	return line == "NOTE" || strings.HasPrefix(line, "NOTE ") || strings.HasPrefix(line, "NOTE\t")
}

// timesOf is the line of a cue that has its times: the first, or the one behind its name. -1 if the block is no cue.
func timesOf(lines []string) int {
	return slices.IndexFunc(lines[:min(2, len(lines))], cueTimes.MatchString)
}

// cutCue moves a cue in time; false if it is said at another time. Any other block stays as it is.
func cutCue(lines []string, from, to float64) ([]string, bool) {
	i := timesOf(lines)
	if i < 0 {
		return lines, true
	}
	m := cueTimes.FindStringSubmatch(lines[i])
	start, end := seconds(m[1:5]), seconds(m[5:9])
	if middle := (start + end) / 2; middle < from || middle >= to {
		return nil, false
	}
	lines[i] = clock(max(start, from)-from) + " --> " + clock(min(end, to)-from) + m[9]
	for j := i + 1; j < len(lines); j++ {
		lines[j] = inlineTime.ReplaceAllStringFunc(lines[j], func(s string) string {
			return "<" + clock(max(0, seconds(inlineTime.FindStringSubmatch(s)[1:])-from)) + ">"
		})
	}
	return lines, true
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
