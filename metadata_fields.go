package codestory

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// The readers of single fields. Each accepts what generators are known to write, and leaves its field as it is if that is null or
// absent. The error says what is wrong, as in "is not text".

type fieldError string

func (e fieldError) Error() string { return string(e) }

const (
	errNotText     fieldError = "is not text"
	errNotNumber   fieldError = "is not a number"
	errNotPosition fieldError = "is not a whole number from 1 on"
	errNotTime     fieldError = "is not a time, such as 2026-01-31T09:30:00Z"
	errNotObject   fieldError = "is not an object"
	errNotList     fieldError = "is not a list"
	errNotUser     fieldError = "is neither text nor a number"
	errLongUser    fieldError = "is longer than any user's name"
	errLongName    fieldError = "is longer than any file's name"
	errNumberTaken fieldError = "is absent, and its position is the number of another chapter"
)

func absent(raw json.RawMessage) bool { return len(raw) == 0 || string(raw) == "null" }

func readText(raw json.RawMessage, to *string) error {
	if !absent(raw) && json.Unmarshal(raw, to) != nil {
		return errNotText
	}
	return nil
}

// readNumber reads a number, or text that is a whole one: "7" and "7.0", but not "7.5", which may be anything.
func readNumber(raw json.RawMessage) (n float64, ok bool, err error) {
	if absent(raw) {
		return 0, false, nil
	}
	text := string(raw)
	if raw[0] == '"' {
		if json.Unmarshal(raw, &text) != nil {
			return 0, false, errNotNumber
		}
		text = strings.TrimSpace(text)
		if strings.Trim(wholeDigits(text), "0123456789") != "" {
			return 0, false, errNotNumber
		}
	}
	n, parseErr := strconv.ParseFloat(text, 64)
	if parseErr != nil || math.IsInf(n, 0) || math.IsNaN(n) {
		return 0, false, errNotNumber
	}
	return n, true, nil
}

// wholeDigits cuts ".0" from a number.
func wholeDigits(text string) string {
	if digits, fraction, ok := strings.Cut(text, "."); ok && fraction != "" && strings.Trim(fraction, "0") == "" {
		return digits
	}
	return text
}

// readPosition reads a number that counts from 1. It leaves 0 if there is none.
func readPosition(raw json.RawMessage, to *int) error {
	n, ok, err := readNumber(raw)
	switch {
	case err != nil:
		return errNotPosition
	case !ok:
		return nil
	case n < 1 || n > math.MaxInt32 || n != math.Trunc(n):
		return errNotPosition
	}
	*to = int(n)
	return nil
}

// readDuration reads seconds. What is not above 0 says nothing.
func readDuration(raw json.RawMessage, to **float64) error {
	n, ok, err := readNumber(raw)
	if ok && n > 0 {
		*to = &n
	}
	return err
}

// timeLayouts are tried in this order. Go's parser takes a fraction behind the seconds in any of them.
var timeLayouts = []string{
	"2006-01-02T15:04:05Z07:00", "2006-01-02T15:04:05Z0700", "2006-01-02T15:04:05Z07", "2006-01-02T15:04:05",
	"2006-01-02T15:04Z07:00", "2006-01-02T15:04", "2006-01-02",
}

// readTime reads RFC 3339 and its neighbors: without a zone (which is UTC), a date alone, a space for the T or before the zone,
// +0000, UTC, or Unix seconds. Few digits in a string are no seconds: they may be a year.
func readTime(raw json.RawMessage, to *time.Time) error {
	n, isNumber, _ := readNumber(raw)
	switch {
	case absent(raw):
		return nil
	case isNumber && (raw[0] != '"' || n >= 1e8):
		return setUnix(to, n)
	}
	var text string
	if json.Unmarshal(raw, &text) != nil {
		return errNotTime
	}
	if text = strings.ToUpper(strings.TrimSpace(text)); text == "" {
		return nil
	}
	if zoneless, ok := strings.CutSuffix(text, "UTC"); ok {
		text = strings.TrimSpace(zoneless) + "Z"
	}
	if day, rest, ok := strings.Cut(text, " "); ok && !strings.Contains(day, "T") {
		text = day + "T" + strings.TrimSpace(rest)
	}
	text = strings.ReplaceAll(text, " ", "")
	for _, layout := range timeLayouts {
		if t, err := time.Parse(layout, text); err == nil {
			return setEncodable(to, t)
		}
	}
	return errNotTime
}

func setUnix(to *time.Time, seconds float64) error {
	if math.Abs(seconds) > 1e12 {
		return errNotTime
	}
	whole, fraction := math.Modf(seconds)
	return setEncodable(to, time.Unix(int64(whole), int64(math.Round(fraction*1e6))*1000).UTC())
}

// setEncodable sets a time that can be written as RFC 3339: in UTC, or in its own zone if that alone is within the years.
func setEncodable(to *time.Time, t time.Time) error {
	for _, t := range []time.Time{t.UTC(), t} {
		if _, err := t.MarshalText(); err == nil {
			*to = t
			return nil
		}
	}
	return errNotTime
}

// readOwner reads user_id. A number counts as it is written: 42 is the user "42", and 1e3 is "1e3".
func (m *Metadata) readOwner(raw json.RawMessage) error {
	if absent(raw) {
		m.Unowned = true
		return nil
	}
	switch c := raw[0]; {
	case c == '"':
		var user string
		if json.Unmarshal(raw, &user) != nil {
			return errNotUser
		}
		if len(user) > maxUser {
			return errLongUser
		}
		m.Owner = OwnedBy(user)
	case c == '-', '0' <= c && c <= '9':
		if len(raw) > maxUser {
			return errLongUser
		}
		m.Owner = OwnedBy(string(raw))
	default:
		return errNotUser
	}
	return nil
}

// readSource reads an object, each field for itself.
func readSource(raw json.RawMessage, to **Source, faults *fieldFaults) {
	if absent(raw) {
		return
	}
	var fields struct{ Repository, Commit json.RawMessage }
	if json.Unmarshal(raw, &fields) != nil {
		faults.add("source", errNotObject)
		return
	}
	*to = &Source{}
	faults.add("source.repository", readText(fields.Repository, &(*to).Repository))
	faults.add("source.commit", readText(fields.Commit, &(*to).Commit))
}

// maxFieldFaults bounds the faults that are named.
const maxFieldFaults = 8

// fieldFaults are what is wrong with fields. The same fault of the same field in many chapters is one.
type fieldFaults struct {
	list   []fieldFault
	others int // that are not in the list
}

type fieldFault struct {
	kind  string // the same for the same field and fault
	text  string
	again int
}

// add notes the fault of a field, if err is one.
func (f *fieldFaults) add(field string, err error) {
	if err != nil {
		f.note(field, field, err)
	}
}

// addChapter notes the fault of a field of the chapter at that place in the list, if err is one. field "" is the chapter itself.
func (f *fieldFaults) addChapter(place int, field string, err error) {
	if err == nil {
		return
	}
	at := fmt.Sprintf("chapters[%d]", place)
	if field != "" {
		at += "." + field
	}
	f.note("chapters[]."+field, at, err)
}

func (f *fieldFaults) note(kind, at string, err error) {
	kind += " " + err.Error()
	for i := range f.list {
		if f.list[i].kind == kind {
			f.list[i].again++
			return
		}
	}
	if len(f.list) == maxFieldFaults {
		f.others++
		return
	}
	f.list = append(f.list, fieldFault{kind: kind, text: at + " " + err.Error()})
}

// sentences says each fault.
func (f *fieldFaults) sentences() []string {
	var said []string
	for _, fault := range f.list {
		if fault.again > 0 {
			fault.text += fmt.Sprintf(" (and in %d more chapters)", fault.again)
		}
		said = append(said, fault.text)
	}
	if f.others > 0 {
		said = append(said, fmt.Sprintf("%d more fields are not what they should be", f.others))
	}
	return said
}
