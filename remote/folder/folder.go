// Package folder is the embedded store: a folder that keeps each object as a file, named by its key. It needs package os
// and nothing else, and must not know the queue, the output directory or HTTP.
//
// Put writes the bytes to a temporary in the hidden folder .codestoryd and touches nothing visible until they are on disk.
// If the process is killed, or the power fails, after a step:
//
//  1. the temporary is written and synced: the next New removes it
//  2. the directories are made and synced: they are empty, and nothing reads them
//  3. the sidecar describes the present object and the new one, and is synced: the present object stands. An entry of the
//     sidecar names the size and modification time of its object, so the new entry describes nothing yet
//  4. the temporary is renamed to its key: the new object is there, whole and described
//  5. the directories are synced: Put returns only now
//
// If the sidecar is lost, or somebody changed the object by hand, no entry matches. The MD5 is then computed and kept; the
// content type and metadata of that object are lost.
//
// A Put is proved by the MD5 of the bytes as they were written, the number of bytes in the file and the syncs. Reading the
// file back would show the page cache, not the disk.
package folder

import (
	"context"
	"crypto/md5"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"sync"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/internal/atomicfile"
	"github.com/codestory/codestoryd/remote"
)

// The names of what is not an object.
const (
	hidden      = ".codestoryd"
	temporaries = hidden + "/tmp"
	sidecars    = hidden + "/sums"
)

// Options are optional. The zero value is fit for use.
type Options struct {
	Limiter *remote.Limiter // holds puts to a bandwidth; nil for none
}

// Store is a folder of objects. It belongs to one process at a time: a second one costs the first one's puts in flight a
// retry.
type Store struct {
	dir   string
	limit *remote.Limiter
	folds folding

	commits [64]sync.Mutex // by the digest of a key: the object and its sidecar
	tidying sync.RWMutex   // held for writing while empty directories are removed
	making  sync.Mutex     // held while directories are made
}

var (
	_ remote.Store   = (*Store)(nil)
	_ remote.Copier  = (*Store)(nil)
	_ remote.Lister  = (*Store)(nil)
	_ remote.Remover = (*Store)(nil)
)

// New opens the store in dir, makes it if it is absent, and removes the temporaries of a process that was killed.
func New(dir string, opts Options) (*Store, error) {
	s := &Store{limit: opts.Limiter}
	var err error
	if s.dir, err = filepath.Abs(dir); err == nil {
		err = s.prepare()
	}
	if err != nil {
		return nil, fmt.Errorf("opening the embedded store: %w", s.classify(err))
	}
	return s, nil
}

func (s *Store) prepare() error {
	if _, err := os.Stat(s.dir); err != nil {
		if err := os.MkdirAll(s.dir, 0o700); err != nil {
			return err
		}
		if err := atomicfile.SyncDir(filepath.Dir(s.dir)); err != nil {
			return err
		}
	}
	root, err := os.OpenRoot(s.dir)
	if err != nil {
		return err
	}
	defer root.Close()
	if err := root.RemoveAll(temporaries); err != nil {
		return err
	}
	for _, dir := range []string{temporaries, sidecars} {
		if err := s.makeDir(root, dir); err != nil {
			return err
		}
	}
	s.folds, err = probe(root)
	return err
}

// open opens the folder for one call. If it is gone, as an unmounted disk is, it is not made again: the objects would end
// up on another disk.
func (s *Store) open() (*os.Root, error) {
	root, err := os.OpenRoot(s.dir)
	if err == nil {
		if _, err = root.Stat(temporaries); err == nil {
			return root, nil
		}
		root.Close()
	}
	if isAbsent(err) {
		return nil, codestory.Pause(codestory.RemoteUnavailable,
			s.where()+" is gone: mount its disk, or restart the daemon to make the folder again", err)
	}
	return nil, s.classify(err)
}

// Info implements remote.Store.
func (s *Store) Info() remote.Info { return remote.Info{Kind: "local", Endpoint: s.dir} }

func (s *Store) where() string { return "the folder " + s.dir }

// Check implements remote.Store: the folder is there, takes files, and its disk has room for a small one.
func (s *Store) Check(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	root, err := s.open()
	if err != nil {
		return err
	}
	defer root.Close()
	temporary := newTemporary()
	defer root.Remove(temporary)
	return s.classify(root.WriteFile(temporary, make([]byte, 4096), 0o600))
}

// newTemporary is the name of a file that nobody else uses.
func newTemporary() string { return path.Join(temporaries, rand.Text()) }

// Stat implements remote.Store.
func (s *Store) Stat(ctx context.Context, key string) (remote.Object, error) {
	file, object, err := s.find(ctx, key)
	if err != nil {
		return remote.Object{}, fmt.Errorf("looking for %s: %w", key, s.judge(ctx, err))
	}
	return object, file.Close()
}

// Open implements remote.Store. An object that is replaced meanwhile is read to its end all the same.
func (s *Store) Open(ctx context.Context, key string, offset, length int64) (io.ReadCloser, remote.Object, error) {
	file, object, err := s.find(ctx, key)
	if err != nil {
		return nil, remote.Object{}, fmt.Errorf("opening %s: %w", key, s.judge(ctx, err))
	}
	left := max(object.Size-offset, 0)
	if length >= 0 {
		left = min(left, length)
	}
	return struct {
		io.Reader
		io.Closer
	}{io.NewSectionReader(file, offset, left), file}, object, nil
}

// find opens the object and describes what was opened. If its MD5 is not known, find computes and keeps it.
func (s *Store) find(ctx context.Context, key string) (*os.File, remote.Object, error) {
	if err := errors.Join(ctx.Err(), checkKey(key)); err != nil {
		return nil, remote.Object{}, err
	}
	root, err := s.open()
	if err != nil {
		return nil, remote.Object{}, err
	}
	defer root.Close()
	file, info, err := openFile(root, key)
	if err != nil {
		return nil, remote.Object{}, err
	}
	object, err := s.describe(root, key, info)
	if err == nil && object.MD5 == "" {
		object.MD5, err = s.digest(ctx, root, key, file, info)
		object.ETag = object.MD5
	}
	if err != nil {
		file.Close()
		return nil, remote.Object{}, err
	}
	return file, object, nil
}

// openFile opens a regular file: a symlink or a pipe is no object.
func openFile(root *os.Root, key string) (*os.File, os.FileInfo, error) {
	if _, err := lstat(root, key); err != nil {
		return nil, nil, err
	}
	file, err := root.Open(key)
	if err != nil {
		return nil, nil, err
	}
	info, err := file.Stat()
	if err != nil {
		file.Close()
		return nil, nil, err
	}
	return file, info, nil
}

// lstat describes a regular file.
func lstat(root *os.Root, key string) (os.FileInfo, error) {
	info, err := root.Lstat(key)
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("it is not a regular file")
	} else if err == nil || !isAbsent(err) {
		return info, err
	}
	return nil, fmt.Errorf("%w: %w", codestory.ErrNotFound, err)
}

// describe is the object of that key whose file is info. Its MD5 is empty if the sidecar does not describe it.
func (s *Store) describe(root *os.Root, key string, info os.FileInfo) (remote.Object, error) {
	object := remote.Object{Key: key, Size: info.Size(), Modified: info.ModTime()}
	kept, err := s.readSidecar(root, key)
	if err != nil {
		return object, err
	}
	if kept.Key != "" && kept.Key != key {
		return object, fmt.Errorf("%w: the file belongs to %s", codestory.ErrNotFound, kept.Key)
	}
	v := kept.of(info)
	object.MD5, object.ETag, object.ContentType = v.MD5, v.MD5, v.ContentType
	return object, nil
}

// digest computes the MD5 of an object and keeps it for the next time.
func (s *Store) digest(ctx context.Context, root *os.Root, key string, file *os.File, info os.FileInfo) (string, error) {
	hash := md5.New()
	for section := io.NewSectionReader(file, 0, info.Size()); ; {
		n, err := io.CopyN(hash, section, 1<<20)
		if err := ctx.Err(); err != nil {
			return "", err
		}
		if n == 0 && err == io.EOF {
			break
		}
		if err != nil && err != io.EOF {
			return "", err
		}
	}
	sum := hex.EncodeToString(hash.Sum(nil))
	commit := s.commit(key)
	commit.Lock()
	defer commit.Unlock()
	if now, err := root.Lstat(key); err == nil && os.SameFile(info, now) && sameVersion(info, now) {
		// If it cannot be kept, the next call computes it again.
		_ = s.writeSidecar(root, sidecar{key, []version{{Size: info.Size(), Modified: info.ModTime().UnixNano(), MD5: sum}}})
	}
	return sum, nil
}

// commit guards the object of that key and its sidecar. Keys that are one file have one lock.
func (s *Store) commit(key string) *sync.Mutex {
	return &s.commits[int(s.slotOf(key)[0])%len(s.commits)]
}

// isAbsent reports whether the file system says that there is no such file. A path through a file leads to none.
func isAbsent(err error) bool {
	return isAny(err, fs.ErrNotExist) || isNotDirectory(err) || isBadName(err)
}
