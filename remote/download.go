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
	"strings"

	"github.com/codestory/codestoryd/internal/atomicfile"
)

// DownloadOptions are optional; the zero value is ready to use.
type DownloadOptions struct {
	// Progress is called with the number of bytes that arrived, and first with those that an earlier attempt left.
	Progress func(n int64)
}

// Download writes the object to the file at path and makes the directories above it. The file appears, or is replaced,
// whole and synced or not at all, after its digest was compared with that of the object; if the store keeps no digest,
// its size is.
//
// The bytes arrive in a hidden file beside it, .NAME.DIGEST.part, whose name identifies the version. An interrupted
// download leaves that file, and the next one requests only what is missing. A file that has the content already is left
// alone.
func Download(ctx context.Context, store Store, key, path string, opts DownloadOptions) (Object, error) {
	object, err := store.Stat(ctx, key)
	if err != nil {
		return Object{}, fmt.Errorf("download: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		return Object{}, fmt.Errorf("download %s: %w", key, err)
	}
	d := download{store: store, object: object, path: path, meter: meter(opts.Progress)}
	done, err := d.isDone(ctx)
	if err == nil && !done {
		err = d.run(ctx)
	}
	if err != nil {
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

// part is the path of the file that the bytes of this version arrive in.
func (d *download) part() string {
	version := fmt.Sprintf("%s\t%s\t%d\t%s\t%s", d.store.Info().Destination(), d.object.Key, d.object.Size, d.object.ETag,
		d.object.Modified.UTC().Format("20060102150405.999999999"))
	digest := sha256.Sum256([]byte(version))
	dir, name := filepath.Split(d.path)
	const longest = 255 - len("..0123456789abcdef.part") // bytes that every system allows in a file's name
	if len(name) > longest {
		name = strings.ToValidUTF8(name[:longest], "")
	}
	return filepath.Join(dir, "."+name+"."+hex.EncodeToString(digest[:8])+".part")
}

// isDone reports whether the file has the content of the object already.
func (d *download) isDone(ctx context.Context) (bool, error) {
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
	if errors.Is(err, ErrDiffers) || errors.Is(err, ErrReplaced) { // it can never be completed
		return errors.Join(err, os.Remove(part.Name()))
	}
	if err != nil {
		return err
	}
	d.removeOlder()
	return atomicfile.SyncDir(filepath.Dir(d.path))
}

// removeOlder removes what interrupted downloads of other versions left, as far as it can.
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

// fill completes part, and writes its whole content to proof unless that is nil.
func (d *download) fill(ctx context.Context, part *os.File, proof io.Writer) error {
	if proof == nil {
		proof = io.Discard
	}
	into := io.MultiWriter(proof, d.meter)
	have, err := copyUnder(ctx, into, part)
	if err != nil {
		return err
	}
	if have < d.object.Size {
		got, err := d.fetch(ctx, io.MultiWriter(part, into), have)
		if err != nil {
			return err
		}
		have += got
	}
	switch {
	case have < d.object.Size:
		return fmt.Errorf("after %d of %d bytes: %w", have, d.object.Size, io.ErrUnexpectedEOF)
	case have > d.object.Size:
		return fmt.Errorf("%w: %d bytes arrived, and the object has %d", ErrDiffers, have, d.object.Size)
	default:
		return nil
	}
}

// fetch copies the object from offset on to w, if it is still the version that the download began with.
func (d *download) fetch(ctx context.Context, w io.Writer, offset int64) (n int64, err error) {
	body, object, err := d.store.Open(ctx, d.object.Key, offset, -1)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, body.Close()) }()
	if object.Size != d.object.Size || object.ETag != d.object.ETag || !object.Modified.Equal(d.object.Modified) {
		return 0, fmt.Errorf("%w: while it was downloaded", ErrReplaced)
	}
	return copyUnder(ctx, w, body)
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
