package main

import (
	"bufio"
	"context"
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"

	"github.com/minio/minio-go/v7"

	"github.com/codestory/codestoryd"
)

// chaptersPerStory is how many small files lie in one folder.
const chaptersPerStory = 100

// fileSet is a directory of files that look as the audio generator's do.
type fileSet struct {
	dir   string
	name  string
	files map[string]file // by key
	bytes int64
}

type file struct {
	size int64
	md5  string
}

// makeFiles makes count files of size bytes each, no two alike.
func makeFiles(dir string, count int, size int64) (*fileSet, error) {
	set := &fileSet{dir: dir, name: fmt.Sprintf("%d files of %s", count, bytesText(size)), files: map[string]file{}}
	if count == 1 {
		set.name = "one file of " + bytesText(size)
	}
	for i := range count {
		path := fmt.Sprintf("%08x-0000-4000-8000-000000000000/chapters/chapter_%02d.mp3", i/chaptersPerStory, i%chaptersPerStory+1)
		sum, err := makeFile(filepath.Join(dir, filepath.FromSlash(path)), uint64(i), size)
		if err != nil {
			return nil, fmt.Errorf("making the files: %w", err)
		}
		set.files[codestory.KeyPrefix+path] = file{size, sum}
		set.bytes += size
	}
	return set, nil
}

func makeFile(name string, seed uint64, size int64) (sum string, err error) {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return "", err
	}
	f, err := os.Create(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	digest := md5.New()
	w := bufio.NewWriterSize(io.MultiWriter(f, digest), 1<<20)
	if _, err := io.CopyN(w, rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(seed >> 16)}), size); err != nil {
		return "", err
	}
	if err := w.Flush(); err != nil {
		return "", err
	}
	return hex.EncodeToString(digest.Sum(nil)), f.Close()
}

// check holds the bucket against the files: each is there, with the right size and, where the ETag of it is an MD5, with
// the right content; and nothing else is.
func (s *fileSet) check(ctx context.Context, c *minio.Client, bucket string) error {
	seen := 0
	for object := range c.ListObjects(ctx, bucket, minio.ListObjectsOptions{Recursive: true}) {
		if object.Err != nil {
			return object.Err
		}
		want, ok := s.files[object.Key]
		etag := strings.Trim(object.ETag, `"`)
		switch {
		case !ok:
			return fmt.Errorf("an object %q is in the bucket that is no file", object.Key)
		case object.Size != want.size, !strings.Contains(etag, "-") && etag != want.md5:
			return fmt.Errorf("the object %q is not the file: %d bytes, ETag %s", object.Key, object.Size, etag)
		}
		seen++
	}
	if seen != len(s.files) {
		return fmt.Errorf("%d of %d files are in the bucket", seen, len(s.files))
	}
	return nil
}

func bytesText(n int64) string {
	switch {
	case n >= 1<<30 && n%(1<<30) == 0:
		return fmt.Sprintf("%d GiB", n>>30)
	case n >= 1<<20 && n%(1<<20) == 0:
		return fmt.Sprintf("%d MiB", n>>20)
	case n >= 1<<10 && n%(1<<10) == 0:
		return fmt.Sprintf("%d KiB", n>>10)
	default:
		return fmt.Sprintf("%d bytes", n)
	}
}
