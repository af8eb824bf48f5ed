package db

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"os"

	bolt "go.etcd.io/bbolt"
)

// Of bbolt's format this package knows the meta pages alone, two at the start of the file: see its internal/common,
// meta.go. Numbers are in the machine's own order.
const (
	pageHeader = 16
	metaSize   = 64 // with its checksum, the last 8 bytes
)

type meta struct {
	pageSize int64
	pages    int64 // of the file
	ok       bool  // its checksum is right
}

func readMeta(file *os.File, at int64) (m meta, err error) {
	var page [pageHeader + metaSize]byte
	if _, err := file.ReadAt(page[:], at); errors.Is(err, io.EOF) {
		return meta{}, fmt.Errorf("%w: the file is cut off within its meta pages", ErrDamaged)
	} else if err != nil {
		return meta{}, fmt.Errorf("reading the database: %w", err)
	}
	b := page[pageHeader:]
	sum := fnv.New64a()
	_, _ = sum.Write(b[:metaSize-8]) // never fails
	return meta{
		pageSize: int64(binary.NativeEndian.Uint32(b[8:])),
		pages:    int64(binary.NativeEndian.Uint64(b[40:])),
		ok:       binary.NativeEndian.Uint64(b[metaSize-8:]) == sum.Sum64(),
	}, nil
}

// checkBegin makes sure that a transaction can begin: if neither meta page is whole, bbolt panics then and keeps its
// locks, for which everybody else would wait for ever.
func checkBegin(file *os.File, db *bolt.DB) error {
	first, err := readMeta(file, 0)
	if err != nil || first.ok {
		return err
	}
	second, err := readMeta(file, int64(db.Info().PageSize))
	if err == nil && !second.ok {
		err = fmt.Errorf("%w: neither of its meta pages is whole", ErrDamaged)
	}
	return err
}

// checkSize holds the size of the file against its meta pages. bbolt maps the file: a page past its end would be a fault
// at some later time. Both meta pages have to be whole: bbolt is content with one, and if that is the older one, the last
// transaction is lost without a word.
func checkSize(file *os.File) error {
	first, err := readMeta(file, 0)
	if err != nil {
		return err
	}
	second, err := readMeta(file, first.pageSize)
	if err != nil {
		return err
	}
	info, err := file.Stat()
	switch want := max(first.pages, second.pages) * first.pageSize; {
	case err != nil:
		return err
	case !first.ok || !second.ok:
		return fmt.Errorf("%w: the checksum of a meta page is wrong", ErrDamaged)
	case info.Size() < want:
		return fmt.Errorf("%w: the file has %d bytes and should have %d", ErrDamaged, info.Size(), want)
	}
	return nil
}
