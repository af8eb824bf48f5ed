package folder

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"runtime"
	"syscall"
	"time"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/remote"
)

// Put implements remote.Store. The package comment says what is on disk after each step.
func (s *Store) Put(ctx context.Context, key string, src remote.Source, opts remote.PutOptions) (remote.Object, error) {
	body := remote.NewBody(src, opts.Meter())
	defer body.Close()
	object, err := s.put(ctx, key, body, opts)
	if err != nil {
		err = s.judge(ctx, err)
		if cause := body.Err(); cause != nil { // the file's fault comes before what the store made of it
			err = cause
		}
		return remote.Object{}, fmt.Errorf("storing %s: %w", key, err)
	}
	return object, nil
}

func (s *Store) put(ctx context.Context, key string, body *remote.Body, opts remote.PutOptions) (remote.Object, error) {
	if err := errors.Join(ctx.Err(), checkKey(key)); err != nil {
		return remote.Object{}, err
	}
	root, err := s.open()
	if err != nil {
		return remote.Object{}, err
	}
	defer root.Close()
	temporary := newTemporary()
	defer root.Remove(temporary) // a no-op once it was renamed
	if err := writeSynced(root, temporary, &paced{ctx, body, s.limit}); err != nil {
		return remote.Object{}, err
	}
	if !body.Complete() {
		return remote.Object{}, errors.New("the file was not read to its end")
	}
	return s.replace(ctx, root, temporary, key, version{MD5: body.Sum(), ContentType: opts.ContentType, Metadata: opts.Metadata})
}

// paced reads a body at the limiter's rate. The last byte does not leave once ctx has ended.
type paced struct {
	ctx   context.Context
	body  *remote.Body
	limit *remote.Limiter
}

func (r *paced) Read(p []byte) (int, error) {
	n, err := r.body.Read(p[:min(len(p), r.limit.Chunk())])
	if err != nil {
		return 0, err
	}
	return n, r.limit.Wait(r.ctx, n)
}

// Copy implements remote.Copier by a hard link. That is safe because no object is ever written to in its place.
func (s *Store) Copy(ctx context.Context, from remote.Object, to string) (remote.Object, error) {
	made, err := s.copy(ctx, from, to)
	if err != nil {
		return remote.Object{}, fmt.Errorf("copying %s to %s: %w", from.Key, to, s.judge(ctx, err))
	}
	return made, nil
}

func (s *Store) copy(ctx context.Context, from remote.Object, to string) (remote.Object, error) {
	file, object, err := s.find(ctx, from.Key)
	if err != nil {
		return remote.Object{}, err
	}
	defer file.Close()
	root, err := s.open()
	if err != nil {
		return remote.Object{}, err
	}
	defer root.Close()
	temporary := newTemporary()
	defer root.Remove(temporary) // a no-op once it was renamed
	if err := errors.Join(checkKey(to), root.Link(from.Key, temporary)); err != nil {
		return remote.Object{}, fmt.Errorf("%w: %w", errors.ErrUnsupported, err)
	}
	opened, err := file.Stat()
	if err != nil {
		return remote.Object{}, err
	}
	linked, err := root.Lstat(temporary)
	if err != nil {
		return remote.Object{}, err
	}
	if object.ETag != from.ETag || object.Size != from.Size || !os.SameFile(opened, linked) || !sameVersion(opened, linked) {
		return remote.Object{}, remote.ErrReplaced
	}
	if present, err := root.Lstat(to); err == nil && present.ModTime().Equal(linked.ModTime()) && !os.SameFile(present, linked) {
		return remote.Object{}, errors.ErrUnsupported // the link would need another time, which is that of from too
	}
	kept, err := s.readSidecar(root, from.Key)
	if err != nil {
		return remote.Object{}, err
	}
	made := kept.of(linked)
	made.MD5 = object.MD5
	return s.replace(ctx, root, temporary, to, made)
}

// replace renames the temporary to its key, described by made, and has all of it on disk.
func (s *Store) replace(ctx context.Context, root *os.Root, temporary, key string, made version) (remote.Object, error) {
	commit := s.commit(key)
	commit.Lock()
	defer commit.Unlock()
	versions, err := s.present(root, temporary, key)
	if err != nil {
		return remote.Object{}, err
	}
	info, err := root.Lstat(temporary)
	if err != nil {
		return remote.Object{}, err
	}
	made.Size, made.Modified = info.Size(), info.ModTime().UnixNano()
	s.tidying.RLock()
	defer s.tidying.RUnlock()
	if err := s.makeDir(root, path.Dir(key)); err != nil {
		return remote.Object{}, err
	}
	if err := s.writeSidecar(root, sidecar{key, append(versions, made)}); err != nil {
		return remote.Object{}, err
	}
	if err := ctx.Err(); err != nil {
		return remote.Object{}, err
	}
	if err := root.Rename(temporary, key); err != nil {
		return remote.Object{}, err
	}
	return remote.Object{
		Key: key, Size: made.Size, ETag: made.MD5, MD5: made.MD5, ContentType: made.ContentType, Modified: info.ModTime(),
	}, syncEntry(root, key)
}

// present is what the sidecar says of the object that the temporary is to replace. The two get different times, so that
// neither is taken for the other.
func (s *Store) present(root *os.Root, temporary, key string) ([]version, error) {
	now, err := root.Lstat(key)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, err
	case now.IsDir():
		return nil, syscall.EISDIR
	}
	kept, err := s.readSidecar(root, key)
	if err != nil {
		return nil, err
	}
	if kept.Key != "" && kept.Key != key {
		return nil, codestory.Block(fmt.Sprintf(
			"%s cannot tell the file from %s, which differs in case or Unicode form only: rename one of the two", s.where(), kept.Key), nil)
	}
	info, err := root.Lstat(temporary)
	if err != nil {
		return nil, err
	}
	if info.ModTime().Equal(now.ModTime()) && !os.SameFile(info, now) { // a coarse clock
		if err := root.Chtimes(temporary, time.Time{}, now.ModTime().Add(2*time.Second)); err != nil {
			return nil, err
		}
		if err := syncFile(root, temporary); err != nil {
			return nil, err
		}
	}
	return []version{kept.of(now)}, nil
}

// makeDir makes a directory. Once it returns, the names of it and of those above it are on disk, also if another Put made
// them a moment ago.
func (s *Store) makeDir(root *os.Root, dir string) error {
	s.making.Lock()
	defer s.making.Unlock()
	if info, err := root.Stat(dir); err == nil && info.IsDir() {
		return nil
	}
	if err := root.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	for made := dir; made != "."; made = path.Dir(made) {
		if err := syncEntry(root, made); err != nil {
			return err
		}
	}
	return nil
}

// writeSynced makes a file of what r gives, on disk.
func writeSynced(root *os.Root, name string, r io.Reader) error {
	file, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return err
	}
	_, err = io.CopyBuffer(struct{ io.Writer }{file}, r, make([]byte, 64<<10))
	if err == nil {
		err = file.Sync()
	}
	return errors.Join(err, file.Close())
}

// syncFile has the bytes and the time of a file on disk.
func syncFile(root *os.Root, name string) error {
	file, err := root.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	return errors.Join(file.Sync(), file.Close())
}

// syncEntry makes a name durable. File systems that have nothing to sync in a directory refuse, which is no error. Windows
// cannot sync a directory; NTFS writes its log in order, so a flush of a file takes along what was renamed or made before.
func syncEntry(root *os.Root, name string) error {
	if runtime.GOOS == "windows" {
		if info, err := root.Lstat(name); err != nil || !info.Mode().IsRegular() {
			return err
		}
		return syncFile(root, name)
	}
	dir, err := root.Open(path.Dir(name))
	if err != nil {
		return err
	}
	defer dir.Close()
	if err := dir.Sync(); err != nil && !isAny(err, syscall.EINVAL, errors.ErrUnsupported) {
		return err
	}
	return nil
}
