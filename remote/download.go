package remote

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
)

// DownloadOptions are what a download may be given beside its places. The zero value is fit for use.
type DownloadOptions struct {
	// Progress is told of bytes as they arrive, and of those that an earlier attempt has left. It may be nil.
	Progress func(n int64)
}

// Download makes the file at path, and the directories above it, of the object. The file appears, or is replaced,
// whole and on disk or not at all, once its digest is that of the object; a store that keeps no digest of it is taken
// at its word about the size.
//
// The bytes arrive in a hidden file beside it, .NAME.DIGEST.part, which names the version. What cuts a download off
// leaves that file, and the next one asks only for what is missing. A file that has the content already is left alone.
func Download(ctx context.Context, store Store, key, path string, opts DownloadOptions) (Object, error) {
	object, err := store.Stat(ctx, key)
	if err != nil {
		return Object{}, fmt.Errorf("download: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		return Object{}, fmt.Errorf("download %s: %w", key, err)
	}
	d := download{store: store, object: object, path: path, meter: meter(opts.Progress)}
	if same, err := d.isThere(ctx); err != nil || same {
		return object, err
	}
	if err := d.run(ctx); err != nil {
		return Object{}, fmt.Errorf("download %s: %w", key, err)
	}
	return object, nil
}

type download struct {
	store  Store
	object Object
	path   string
	meter  io.Writer
}

// part is the path of the file that the bytes arrive in. Another version of the object has another one.
func (d *download) part() string {
	version := fmt.Sprintf("%s\t%s\t%d\t%s\t%s", d.store.Info().Destination(), d.object.Key, d.object.Size, d.object.ETag,
		d.object.Modified.UTC().Format("20060102150405.999999999"))
	digest := sha256.Sum256([]byte(version))
	dir, name := filepath.Split(d.path)
	const longest = 255 - len("..0123456789abcdef.part") // of a file's name, on every system
	if len(name) > longest {
		name = strings.ToValidUTF8(name[:longest], "")
	}
	return filepath.Join(dir, "."+name+"."+hex.EncodeToString(digest[:8])+".part")
}

// isThere reports whether the file is what would be downloaded.
func (d *download) isThere(ctx context.Context) (bool, error) {
	info, err := os.Lstat(d.path)
	if err != nil || !info.Mode().IsRegular() || info.Size() != d.object.Size {
		return false, nil
	}
	proof, err := ProofOf(ctx, d.store, d.object)
	if err != nil || proof == nil {
		return false, err
	}
	file, err := os.Open(d.path)
	if err != nil {
		return false, nil
	}
	defer file.Close()
	if n, err := copyUnder(ctx, proof, file); err != nil || n != d.object.Size {
		return false, ctx.Err()
	}
	return proof.Verify() == nil, nil
}

func (d *download) run(ctx context.Context) error {
	proof, err := ProofOf(ctx, d.store, d.object)
	if err != nil {
		return err
	}
	part, err := os.OpenFile(d.part(), os.O_CREATE|os.O_RDWR, 0o666)
	if err != nil {
		return err
	}
	err = d.fill(ctx, part, proof)
	if err == nil && proof != nil {
		err = proof.Verify()
	}
	if err == nil {
		err = part.Sync()
	}
	err = errors.Join(err, part.Close())
	if err == nil {
		err = os.Rename(part.Name(), d.path)
	}
	if errors.Is(err, ErrDiffers) || errors.Is(err, ErrReplaced) { // nothing will ever come of it
		return errors.Join(err, os.Remove(part.Name()))
	}
	if err != nil {
		return err
	}
	d.removeOlder()
	return syncDir(filepath.Dir(d.path))
}

// removeOlder removes what downloads of other versions have left. That is a courtesy, and may fail.
func (d *download) removeOlder() {
	dir, name := filepath.Split(d.part())
	same := name[:len(name)-len("0123456789abcdef.part")]
	entries, _ := os.ReadDir(filepath.Dir(d.path))
	for _, entry := range entries {
		digest, isPart := strings.CutSuffix(strings.TrimPrefix(entry.Name(), same), ".part")
		if _, err := hex.DecodeString(digest); err == nil && isPart && len(entry.Name()) == len(name) {
			_ = os.Remove(filepath.Join(dir, entry.Name()))
		}
	}
}

// fill has all of the object in part, and has digested it.
func (d *download) fill(ctx context.Context, part *os.File, proof io.Writer) error {
	if proof == nil {
		proof = io.Discard
	}
	into := io.MultiWriter(proof, d.meter)
	have, err := copyUnder(ctx, into, part)
	if err != nil {
		return err
	}
	if have > d.object.Size {
		return fmt.Errorf("%w: %s has %d bytes, and the object %d", ErrDiffers, part.Name(), have, d.object.Size)
	}
	if have == d.object.Size {
		return nil
	}
	body, err := d.open(ctx, have)
	if err != nil {
		return err
	}
	got, err := copyUnder(ctx, io.MultiWriter(part, into), body)
	if err := errors.Join(err, body.Close()); err != nil {
		return err
	}
	switch have += got; {
	case have < d.object.Size:
		return fmt.Errorf("after %d of %d bytes: %w", have, d.object.Size, io.ErrUnexpectedEOF)
	case have > d.object.Size:
		return fmt.Errorf("%w: %d came, and the object has %d", ErrDiffers, have, d.object.Size)
	default:
		return nil
	}
}

// open reads on from offset, in the version that the download began with.
func (d *download) open(ctx context.Context, offset int64) (io.ReadCloser, error) {
	if opener, ok := d.store.(VersionOpener); ok {
		return opener.OpenVersion(ctx, d.object, offset, -1)
	}
	body, object, err := d.store.Open(ctx, d.object.Key, offset, -1)
	if err != nil {
		return nil, err
	}
	if object.Size != d.object.Size || object.ETag != d.object.ETag || !object.Modified.Equal(d.object.Modified) {
		body.Close()
		return nil, fmt.Errorf("%w: while it was downloaded", ErrReplaced)
	}
	return body, nil
}

// copyUnder is io.Copy that ends with ctx.
func copyUnder(ctx context.Context, w io.Writer, r io.Reader) (n int64, err error) {
	buf := make([]byte, 256<<10)
	for {
		if err := ctx.Err(); err != nil {
			return n, err
		}
		got, err := r.Read(buf)
		if _, err := w.Write(buf[:got]); err != nil {
			return n, err
		}
		n += int64(got)
		if errors.Is(err, io.EOF) {
			return n, nil
		}
		if err != nil {
			return n, err
		}
	}
}

// syncDir has the names in a directory on disk, where the system has a way to say so.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, errors.ErrUnsupported) {
		err = nil
	}
	return errors.Join(err, d.Close())
}
