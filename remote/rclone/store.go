package rclone

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"path"
	"strings"
	"sync"
	"syscall"

	"github.com/rclone/rclone/fs"
	"github.com/rclone/rclone/fs/config"
	"github.com/rclone/rclone/fs/fspath"
	"github.com/rclone/rclone/fs/hash"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/remote"
)

// Store is a remote of the user's rclone.conf. It connects on first use, so that it can be made while the remote is down.
//
// Uploads go straight to their key if the backend shows an object only once it is whole, as object storage does. If files
// are visible while they grow (SFTP, FTP, WebDAV, a disk), uploads go to a temporary in the folder .codestoryd/uploads,
// which is moved. How atomic that is depends on the server: SFTP without posix-rename@openssh.com removes the old object
// a moment before the new one is in its place.
type Store struct {
	remote   string // as rclone takes it: NAME:PATH
	endpoint string // the same for people and for the index
	limiter  *remote.Limiter
	base     context.Context   // carries rclone's settings
	hiding   *strings.Replacer // of secrets in rclone's messages

	connecting chan struct{} // a lock that can be given up: sending locks conn, receiving unlocks it
	conn       *connection   // nil until the remote has answered

	moves [64]sync.RWMutex // by the checksum of a key: Open reads what it looked at, not what replaced it
}

var (
	_ remote.Store   = (*Store)(nil)
	_ remote.Copier  = (*Store)(nil)
	_ remote.Lister  = (*Store)(nil)
	_ remote.Prover  = (*Store)(nil)
	_ remote.Remover = (*Store)(nil)
)

// New makes a store of an rclone remote, NAME:PATH. Its error says in one line what to change. It reads the
// configuration and does not connect; ctx is for what a configuration may have to run, such as a password command.
func New(ctx context.Context, name string, opts Options) (*Store, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	setUp(nil) // until it is known what its messages must not show
	if err := loadConfig(); err != nil {
		return nil, err
	}
	parsed, err := fspath.Parse(name)
	if err == nil && parsed.Name == "" {
		err = errors.New("it is a path")
	}
	if err != nil {
		return nil, fmt.Errorf("%q is no rclone remote, which is written NAME:PATH: %w", Redacted(name), err)
	}
	if err := configured(name, parsed.Name); err != nil {
		return nil, err
	}
	s := &Store{
		remote: name, endpoint: endpoint(parsed), limiter: opts.Limiter, base: settings(), hiding: hiding(name),
		connecting: make(chan struct{}, 1),
	}
	process.hiding.Store(s.hiding)
	setUp(opts.Logger)
	return s, nil
}

// configured returns nil if rclone knows the remote and has its backend. If the remote stands for another one, the first
// connection tells whether that is there.
func configured(name, section string) error {
	_, _, _, _, err := fs.ParseRemote(name)
	if errors.Is(err, fs.ErrorNotFoundInConfigFile) {
		return fmt.Errorf("rclone has no remote of the name %s: add it to %s with rclone config", section, config.GetConfigPath())
	}
	if err == nil {
		return nil
	}
	instead := ""
	if kind, _ := fs.ConfigFileGet(section, "type"); kind == "s3" {
		instead = "use --remote s3 for it, or "
	}
	return fmt.Errorf("this program has no backend for the remote %s: %sbuild it with -tags rclone_all: %w", section, instead, err)
}

// endpoint names the remote. Parameters, as in NAME,url='…':PATH, may be secret, and may make it another remote.
func endpoint(parsed fspath.Parsed) string {
	name := parsed.Name
	if len(parsed.Config) > 0 {
		digest := sha256.Sum256([]byte(parsed.ConfigString))
		name += "{" + hex.EncodeToString(digest[:4]) + "}"
	}
	return name + ":" + strings.TrimSuffix(parsed.Path, "/")
}

// Info implements remote.Store.
func (s *Store) Info() remote.Info { return remote.Info{Kind: "rclone", Endpoint: s.endpoint} }

func (s *Store) classify(err error) error { return classify(s.endpoint, s.hide(err)) }

// Check implements remote.Store. It looks for an object that is not there: any answer shows that the remote can be
// reached and lets us in, and costs the same however much it holds.
func (s *Store) Check(ctx context.Context) error {
	c, ctx, err := s.connect(ctx)
	if err != nil {
		return err
	}
	_, err = c.NewObject(ctx, path.Join(hidden, "check"))
	if err == nil || absent(err) {
		return nil
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return s.refused(err)
}

// Stat implements remote.Store. MD5 and ETag are those of the backend, if it knows them without reading the file.
func (s *Store) Stat(ctx context.Context, key string) (object remote.Object, err error) {
	c, ctx, err := s.connect(ctx)
	if err == nil {
		_, object, err = s.find(ctx, c, key)
	}
	if err != nil {
		return remote.Object{}, fmt.Errorf("looking for %s: %w", key, err)
	}
	return object, nil
}

// Open implements remote.Store. ctx has to last until the reader is closed.
func (s *Store) Open(ctx context.Context, key string, offset, length int64) (io.ReadCloser, remote.Object, error) {
	body, object, err := s.open(ctx, key, offset, length)
	if err != nil {
		return nil, remote.Object{}, fmt.Errorf("opening %s: %w", key, err)
	}
	return body, object, nil
}

func (s *Store) open(ctx context.Context, key string, offset, length int64) (io.ReadCloser, remote.Object, error) {
	c, ctx, err := s.connect(ctx)
	if err != nil {
		return nil, remote.Object{}, err
	}
	move := s.move(key)
	move.RLock()
	defer move.RUnlock()
	file, object, err := s.find(ctx, c, key)
	if err != nil {
		return nil, remote.Object{}, err
	}
	body, err := open(ctx, file, object.Size, offset, length)
	return body, object, s.missing(err)
}

// move guards the object of that key against being replaced between two requests. It knows of this process only.
func (s *Store) move(key string) *sync.RWMutex {
	return &s.moves[crc32.ChecksumIEEE([]byte(key))%uint32(len(s.moves))]
}

func (s *Store) find(ctx context.Context, c *connection, key string) (fs.Object, remote.Object, error) {
	name, err := objectName(key)
	if err != nil {
		return nil, remote.Object{}, err
	}
	file, err := c.NewObject(ctx, name)
	if err != nil {
		return nil, remote.Object{}, s.missing(c.explain(ctx, name, err))
	}
	if !file.Storable() { // a symlink, a pipe
		return nil, remote.Object{}, notFound(fs.ErrorNotAFile)
	}
	object, err := c.describe(ctx, key, file)
	return file, object, s.classify(err)
}

// missing is the error of a remote that was asked for an object.
func (s *Store) missing(err error) error {
	if absent(err) {
		return notFound(err)
	}
	return s.classify(err)
}

// explain returns err, and ENOTDIR with it if the name leads through a file. Servers have words of their own for that, or
// call it forbidden, which would pause all uploads.
func (c *connection) explain(ctx context.Context, name string, err error) error {
	if e, ok := errors.AsType[*codestory.Error](classify("", err)); absent(err) || ok && e.State != codestory.RemoteDenied {
		return err
	}
	for parent := path.Dir(name); parent != "."; parent = path.Dir(parent) {
		if file, lookErr := c.NewObject(ctx, parent); lookErr == nil && file.Storable() {
			return fmt.Errorf("%w: %w", syscall.ENOTDIR, err)
		}
	}
	return err
}

// describe says what rclone knows of an object at little cost.
func (c *connection) describe(ctx context.Context, key string, file fs.Object) (remote.Object, error) {
	object := remote.Object{Key: key, Size: file.Size(), Modified: file.ModTime(ctx)}
	if typed, ok := file.(fs.MimeTyper); ok && c.Features().ReadMimeType {
		object.ContentType = typed.MimeType(ctx)
	}
	if c.checksum != hash.MD5 || c.Features().SlowHash {
		return object, nil
	}
	sum, err := c.sum(ctx, file)
	object.MD5, object.ETag = sum, sum
	return object, err
}
