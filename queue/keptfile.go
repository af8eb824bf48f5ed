package queue

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/codestory/codestoryd/internal/atomicfile"
)

// The file of what is kept has a first line for people, and then one for each thing: a checksum in hexadecimal and JSON.
// Lines are appended; a later one of the same key takes the place of an earlier one.

// keptFile is the open file. The writer's lock is held while it is used.
type keptFile struct {
	path  string
	file  *os.File // nil where it is to be written anew
	end   int64    // of what counts; behind it may be a line of a transaction that failed
	bound int64    // the size from which on it is written anew
}

const (
	keptHeader = "codestoryd keeps here what can be rebuilt from nowhere else; see its ARCHITECTURE.md\n"
	keptSlack  = 1 << 20 // bytes that it may grow to beyond four times what it has to hold
)

// append makes the lines durable; written anew by all where it has grown too long.
func (f *keptFile) append(lines []kept, all func() (map[keptKey]kept, error)) error {
	b, err := encodeKept(lines)
	if err != nil {
		return err
	}
	if f.file == nil || f.end+int64(len(b)) > f.bound {
		now, err := all()
		if err != nil {
			return err
		}
		return f.replace(now)
	}
	if err := f.file.Truncate(f.end); err != nil {
		return fmt.Errorf("writing %s: %w", f.path, err)
	}
	if _, err := f.file.WriteAt(b, f.end); err != nil {
		return fmt.Errorf("writing %s: %w", f.path, err)
	}
	if err := f.file.Sync(); err != nil {
		return fmt.Errorf("writing %s: %w", f.path, err)
	}
	f.end += int64(len(b))
	return nil
}

func encodeKept(lines []kept) ([]byte, error) {
	var b []byte
	for _, k := range lines {
		text, err := json.Marshal(k)
		if err != nil {
			return nil, fmt.Errorf("encoding what is kept: %w", err)
		}
		b = fmt.Appendf(b, "%08x %s\n", checksum(nil, text), text)
	}
	return b, nil
}

// replace makes the file one of these alone.
func (f *keptFile) replace(all map[keptKey]kept) error {
	b, err := encodeKept(slices.SortedFunc(maps.Values(all), compareKept))
	if err != nil {
		return err
	}
	b = append([]byte(keptHeader), b...)
	f.close()
	if err := atomicfile.Write(f.path, b, 0o600); err != nil {
		return err
	}
	return f.reopen()
}

// reopen opens the file to append to it. Where its last line is cut short it stays closed, and is written anew.
func (f *keptFile) reopen() error {
	file, err := os.OpenFile(f.path, os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("writing %s: %w", f.path, err)
	}
	info, err := file.Stat()
	last := []byte{0}
	if err == nil && info.Size() > 0 {
		_, err = file.ReadAt(last, info.Size()-1)
	}
	if err != nil || last[0] != '\n' {
		return errors.Join(err, file.Close())
	}
	f.file, f.end = file, info.Size()
	f.bound = keptSlack + 4*f.end
	return nil
}

func (f *keptFile) close() {
	if f.file != nil {
		_ = f.file.Close()
		f.file = nil
	}
}

// readKept reads the file. Lines that were damaged are left out and counted; the last one, where it is cut short, was
// never acknowledged. found is false where there is no file.
func readKept(path string) (all map[keptKey]kept, damaged int, found bool, err error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, 0, false, nil
	}
	if err != nil {
		return nil, 0, false, fmt.Errorf("reading what is kept beside the database: %w", err)
	}
	all, damaged = parseKept(b)
	return all, damaged, true, nil
}

func parseKept(b []byte) (all map[keptKey]kept, damaged int) {
	all = map[keptKey]kept{}
	for line := range bytes.Lines(b) {
		whole := bytes.HasSuffix(line, []byte("\n"))
		k, err := parseKeptLine(bytes.TrimSuffix(line, []byte("\n")))
		switch {
		case string(line) == keptHeader:
		case err != nil && whole:
			damaged++
		case err != nil || !whole: // it was being written
		case k.Ended:
			delete(all, k.key())
		default:
			all[k.key()] = k
		}
	}
	return all, damaged
}

var errKeptLine = errors.New("not a line of what is kept")

func parseKeptLine(line []byte) (k kept, err error) {
	sum, text, ok := bytes.Cut(line, []byte(" "))
	want, parseErr := strconv.ParseUint(string(sum), 16, 32)
	if !ok || parseErr != nil || uint32(want) != checksum(nil, text) {
		return kept{}, errKeptLine
	}
	if err := json.Unmarshal(text, &k); err != nil {
		return kept{}, fmt.Errorf("%w: %w", errKeptLine, err)
	}
	return k, nil
}

func compareKept(a, b kept) int {
	return cmp.Or(strings.Compare(a.Kind, b.Kind), strings.Compare(a.Path, b.Path), cmp.Compare(a.Generation, b.Generation))
}
