package queue

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"math"
	"os"

	bolt "go.etcd.io/bbolt"
)

// Where bbolt has what in its pages: see its internal/common, page.go, meta.go and inode.go. Numbers are the machine's
// own. bbolt checks little of this when it reads, and its own Check faults over what is far from right: so it is read
// here, from the file and not from its mapping, with every length held against what there is.
const (
	pageHeader  = 16 // id, flags, count, overflow
	pageElement = 16
	metaSize    = 64 // with its checksum, the last 8 bytes

	branchPage   = 0x01
	leafPage     = 0x02
	freelistPage = 0x10

	bucketElement = 0x01      // of a leaf: a bucket, whose root page is in the value, or behind it where that is 0
	manyFree      = 0xFFFF    // a free list of so many has its count behind the header
	noFreelist    = 1<<64 - 1 // a meta page that has none
	deepest       = 64        // of pages below one another
	firstPage     = uint64(2) // behind the two meta pages
)

// meta is a meta page.
type meta struct {
	pageSize       int64
	root, freelist uint64
	pages          uint64 // of the file
	txid           uint64
}

// readMetas reads both meta pages and holds them against their checksums. bbolt is content with one of the two, and where
// that is not the last one a transaction is lost without a word.
func readMetas(file *os.File) (metas [2]meta, err error) {
	for n := range metas {
		var ok bool
		if metas[n], ok, err = readMeta(file, int64(n)*metas[0].pageSize); err != nil {
			return metas, fmt.Errorf("reading the database: %w", err)
		}
		if !ok {
			return metas, fmt.Errorf("%w: the checksum of meta page %d is wrong", ErrDamaged, n)
		}
	}
	return metas, nil
}

// readMeta reads the meta page that is there in the file; ok is whether its checksum is right.
func readMeta(file *os.File, at int64) (m meta, ok bool, err error) {
	page := make([]byte, pageHeader+metaSize)
	if _, err := file.ReadAt(page, at); err != nil {
		return meta{}, false, err
	}
	b := page[pageHeader:]
	sum := fnv.New64a()
	_, _ = sum.Write(b[:metaSize-8])
	m = meta{
		pageSize: int64(binary.NativeEndian.Uint32(b[8:])),
		root:     binary.NativeEndian.Uint64(b[16:]), freelist: binary.NativeEndian.Uint64(b[32:]),
		pages: binary.NativeEndian.Uint64(b[40:]), txid: binary.NativeEndian.Uint64(b[48:]),
	}
	return m, binary.NativeEndian.Uint64(b[metaSize-8:]) == sum.Sum64(), nil
}

// checkBegin makes sure that a transaction can begin: where neither meta page is whole, bbolt panics then and keeps its
// locks, for which everybody else would wait for ever.
func checkBegin(file *os.File, db *bolt.DB) error {
	at := int64(0)
	for range 2 {
		switch _, ok, err := readMeta(file, at); {
		case err != nil && !errors.Is(err, io.EOF):
			return fmt.Errorf("reading the database: %w", err)
		case ok:
			return nil
		}
		at = int64(db.Info().PageSize) // which a database that was closed has not
	}
	return fmt.Errorf("%w: neither of its meta pages is whole", ErrDamaged)
}

// checkFile holds the file's size against what its meta pages say. bbolt maps the file: a page past the end would be a
// fault at some later time.
func checkFile(file *os.File) error {
	metas, err := readMetas(file)
	if err != nil {
		return err
	}
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if want := int64(max(metas[0].pages, metas[1].pages)) * metas[0].pageSize; info.Size() < want {
		return fmt.Errorf("%w: the file has %d bytes and should have %d", ErrDamaged, info.Size(), want)
	}
	return nil
}

// pageCheck reads all the pages of one transaction.
type pageCheck struct {
	file *os.File
	meta meta
	used []bool // by page
}

// checkPages holds the pages of one transaction against one another: each is reached once or free, and is what it should
// be; keys are in order. A read transaction has to keep them from being written over.
func checkPages(file *os.File, m meta) error {
	c := &pageCheck{file: file, meta: m, used: make([]bool, m.pages)}
	if err := c.tree(m.root, nil, nil, 0); err != nil {
		return fmt.Errorf("%w: %v", ErrDamaged, err)
	}
	if err := c.freelist(); err != nil {
		return fmt.Errorf("%w: %v", ErrDamaged, err)
	}
	return nil
}

// page reads the page with what overflows from it, and takes note that it is in use.
func (c *pageCheck) page(id uint64) (flags uint16, page []byte, err error) {
	if id < firstPage || id >= c.meta.pages {
		return 0, nil, fmt.Errorf("page %d is none of the %d", id, c.meta.pages)
	}
	header := make([]byte, pageHeader)
	if _, err := c.file.ReadAt(header, int64(id)*c.meta.pageSize); err != nil {
		return 0, nil, err
	}
	overflow := uint64(binary.NativeEndian.Uint32(header[12:]))
	if got := binary.NativeEndian.Uint64(header); got != id || id+overflow >= c.meta.pages {
		return 0, nil, fmt.Errorf("page %d says that it is page %d with %d more", id, got, overflow)
	}
	for n := id; n <= id+overflow; n++ {
		if c.used[n] {
			return 0, nil, fmt.Errorf("page %d is used twice", n)
		}
		c.used[n] = true
	}
	page = make([]byte, int64(1+overflow)*c.meta.pageSize)
	_, err = c.file.ReadAt(page, int64(id)*c.meta.pageSize)
	return binary.NativeEndian.Uint16(header[8:]), page, err
}

// tree checks the page and those below it. Its keys are not before first, and before end where that is not nil.
func (c *pageCheck) tree(id uint64, first, end []byte, depth int) error {
	flags, page, err := c.page(id)
	switch {
	case err != nil:
		return err
	case depth > deepest:
		return fmt.Errorf("page %d lies below %d others", id, depth)
	case flags == leafPage:
		return c.leaf(id, page, first, end, depth)
	case flags == branchPage:
		return c.branch(id, page, first, end, depth)
	default:
		return fmt.Errorf("page %d is of the kind %#x", id, flags)
	}
}

// element cuts the key and what follows it out of a page: pos is relative to the element itself.
func element(page []byte, n int, pos, keySize, valueSize uint32) (key, value []byte, ok bool) {
	from := uint64(pageHeader+n*pageElement) + uint64(pos)
	to := from + uint64(keySize) + uint64(valueSize)
	if to > uint64(len(page)) || keySize > math.MaxInt32 {
		return nil, nil, false
	}
	return page[from : from+uint64(keySize)], page[from+uint64(keySize) : to], true
}

// inOrder reports whether the key comes after the one before it, and lies within the page's bounds.
func inOrder(key, before, first, end []byte) bool {
	return (before == nil || bytes.Compare(before, key) < 0) && bytes.Compare(first, key) <= 0 &&
		(end == nil || bytes.Compare(key, end) < 0)
}

func (c *pageCheck) leaf(id uint64, page, first, end []byte, depth int) error {
	count := int(binary.NativeEndian.Uint16(page[10:]))
	if pageHeader+count*pageElement > len(page) {
		return fmt.Errorf("page %d has %d entries, too many", id, count)
	}
	var before []byte
	for n := range count {
		e := page[pageHeader+n*pageElement:]
		flags := binary.NativeEndian.Uint32(e)
		key, value, ok := element(page, n,
			binary.NativeEndian.Uint32(e[4:]), binary.NativeEndian.Uint32(e[8:]), binary.NativeEndian.Uint32(e[12:]))
		if !ok || !inOrder(key, before, first, end) || flags > bucketElement {
			return fmt.Errorf("entry %d of page %d is not in its place", n, id)
		}
		before = key
		if flags == bucketElement {
			if err := c.bucket(id, value, depth); err != nil {
				return err
			}
		}
	}
	return nil
}

// bucket checks what the value of a bucket leads to.
func (c *pageCheck) bucket(id uint64, value []byte, depth int) error {
	const header = 16 // root, sequence
	if len(value) < header {
		return fmt.Errorf("a bucket of page %d is cut short", id)
	}
	if root := binary.NativeEndian.Uint64(value); root != 0 {
		return c.tree(root, nil, nil, depth+1)
	}
	page := value[header:]
	if len(page) < pageHeader || binary.NativeEndian.Uint16(page[8:]) != leafPage {
		return fmt.Errorf("a bucket within page %d is none", id)
	}
	return c.leaf(id, page, nil, nil, depth+1)
}

func (c *pageCheck) branch(id uint64, page, first, end []byte, depth int) error {
	count := int(binary.NativeEndian.Uint16(page[10:]))
	if count == 0 || pageHeader+count*pageElement > len(page) {
		return fmt.Errorf("page %d has %d pages below it", id, count)
	}
	keys, children := make([][]byte, count), make([]uint64, count)
	var before []byte
	for n := range count {
		e := page[pageHeader+n*pageElement:]
		key, _, ok := element(page, n, binary.NativeEndian.Uint32(e), binary.NativeEndian.Uint32(e[4:]), 0)
		if !ok || !inOrder(key, before, first, end) {
			return fmt.Errorf("entry %d of page %d is not in its place", n, id)
		}
		keys[n], children[n], before = key, binary.NativeEndian.Uint64(e[8:]), key
	}
	for n, child := range children {
		next := end
		if n+1 < count {
			next = keys[n+1]
		}
		if err := c.tree(child, keys[n], next, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// freelist holds the pages that are free against those that are used: a page is one of the two.
func (c *pageCheck) freelist() error {
	if c.meta.freelist == noFreelist {
		return nil
	}
	flags, page, err := c.page(c.meta.freelist)
	switch {
	case err != nil:
		return err
	case flags != freelistPage:
		return fmt.Errorf("the free list is of the kind %#x", flags)
	}
	ids, count := page[pageHeader:], uint64(binary.NativeEndian.Uint16(page[10:]))
	if count == manyFree {
		ids, count = ids[8:], binary.NativeEndian.Uint64(ids)
	}
	if count > uint64(len(ids))/8 {
		return fmt.Errorf("the free list has %d pages, too many", count)
	}
	for n := range count {
		id := binary.NativeEndian.Uint64(ids[8*n:])
		if id < firstPage || id >= c.meta.pages || c.used[id] {
			return fmt.Errorf("page %d is in use, or is none, and in the free list", id)
		}
		c.used[id] = true
	}
	for id := firstPage; id < c.meta.pages; id++ {
		if !c.used[id] {
			return fmt.Errorf("page %d is neither in use nor free", id)
		}
	}
	return nil
}
