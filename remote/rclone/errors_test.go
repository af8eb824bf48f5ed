package rclone

import (
	"context"
	"errors"
	"fmt"
	iofs "io/fs"
	"net"
	"net/http"
	"net/textproto"
	"net/url"
	"os"
	"strings"
	"syscall"
	"testing"

	b2 "github.com/rclone/rclone/backend/b2/api"
	box "github.com/rclone/rclone/backend/box/api"
	webdav "github.com/rclone/rclone/backend/webdav/api"
	"github.com/rclone/rclone/fs"
	"github.com/rclone/rclone/fs/fserrors"
	"github.com/rclone/rclone/lib/file"
	"golang.org/x/oauth2"
	"google.golang.org/api/googleapi"

	"github.com/codestory/codestoryd"
)

func TestClassify(t *testing.T) {
	t.Parallel()
	pathError := func(err error) error { return &os.PathError{Op: "write", Path: "/x", Err: err} }
	google := func(code int, reason string) error {
		return &googleapi.Error{Code: code, Errors: []googleapi.ErrorItem{{Reason: reason}}}
	}
	timeout := &net.OpError{Op: "read", Err: os.ErrDeadlineExceeded}
	const ok = codestory.RemoteState("")
	for _, c := range []struct {
		err   error
		class codestory.Class
		state codestory.RemoteState
	}{
		{pathError(syscall.ENOSPC), codestory.ClassPause, codestory.RemoteFull},
		{pathError(syscall.EDQUOT), codestory.ClassPause, codestory.RemoteFull},
		{&os.LinkError{Op: "rename", Err: syscall.ENOSPC}, codestory.ClassPause, codestory.RemoteFull},
		{fserrors.FatalError(file.ErrDiskFull), codestory.ClassPause, codestory.RemoteFull},
		{errors.Join(pathError(syscall.ENOSPC), nil), codestory.ClassPause, codestory.RemoteFull},
		{pathError(syscall.EACCES), codestory.ClassPause, codestory.RemoteDenied},
		{pathError(syscall.EPERM), codestory.ClassPause, codestory.RemoteDenied},
		{pathError(syscall.EROFS), codestory.ClassPause, codestory.RemoteDenied},
		{fs.ErrorPermissionDenied, codestory.ClassPause, codestory.RemoteDenied},
		{pathError(syscall.ENOTDIR), codestory.ClassBlock, ok},
		{pathError(syscall.EISDIR), codestory.ClassBlock, ok},
		{fs.ErrorIsDir, codestory.ClassBlock, ok},
		{pathError(syscall.ENAMETOOLONG), codestory.ClassBlock, ok},
		{fs.ErrorFileNameTooLong, codestory.ClassBlock, ok},
		{fs.ErrorCantUploadEmptyFiles, codestory.ClassBlock, ok},
		{fs.ErrorNotFoundInConfigFile, codestory.ClassPause, codestory.RemoteMissing},
		{&net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}, codestory.ClassPause, codestory.RemoteUnavailable},
		{&url.Error{Op: "Put", URL: "x", Err: timeout}, codestory.ClassPause, codestory.RemoteUnavailable},
		{&net.DNSError{IsNotFound: true}, codestory.ClassPause, codestory.RemoteUnavailable},
		{timeout, codestory.ClassPause, codestory.RemoteUnavailable},
		{&url.Error{Op: "Put", URL: "x", Err: &oauth2.RetrieveError{ErrorCode: "invalid_grant"}}, codestory.ClassPause, codestory.RemoteDenied},
		{&textproto.Error{Code: 530}, codestory.ClassPause, codestory.RemoteDenied},
		{&textproto.Error{Code: 552}, codestory.ClassPause, codestory.RemoteFull},
		{&textproto.Error{Code: 421}, codestory.ClassPause, codestory.RemoteUnavailable},
		{&webdav.Error{StatusCode: http.StatusUnauthorized}, codestory.ClassPause, codestory.RemoteDenied},
		{&webdav.Error{StatusCode: http.StatusInsufficientStorage}, codestory.ClassPause, codestory.RemoteFull},
		{&webdav.Error{StatusCode: http.StatusBadGateway}, codestory.ClassPause, codestory.RemoteUnavailable},
		{&b2.Error{Status: http.StatusForbidden}, codestory.ClassPause, codestory.RemoteDenied},
		{&box.Error{Status: http.StatusUnauthorized}, codestory.ClassPause, codestory.RemoteDenied},
		{google(403, "storageQuotaExceeded"), codestory.ClassPause, codestory.RemoteFull},
		{google(403, "userRateLimitExceeded"), codestory.ClassPause, codestory.RemoteUnavailable},
		{google(403, "insufficientPermissions"), codestory.ClassPause, codestory.RemoteDenied},

		{errors.New("anything"), codestory.ClassRetry, ok},
		{pathError(syscall.EIO), codestory.ClassRetry, ok},
		{pathError(syscall.ENOENT), codestory.ClassRetry, ok},
		{&net.OpError{Op: "write", Err: syscall.ECONNRESET}, codestory.ClassRetry, ok},
		{&url.Error{Op: "Put", URL: "x", Err: errors.New("anything")}, codestory.ClassRetry, ok},
		{&textproto.Error{Code: 550}, codestory.ClassRetry, ok},
		{&webdav.Error{StatusCode: http.StatusInternalServerError}, codestory.ClassRetry, ok},
		{context.Canceled, codestory.ClassRetry, ok}, // somebody else's
	} {
		got := fmt.Errorf("storing x: %w", classify("the place", fmt.Errorf("update: %w", c.err)))
		if class := codestory.ClassOf(t.Context(), got); class != c.class || !errors.Is(got, c.err) {
			t.Errorf("%v: class %v, want %v, wrapping it", got, class, c.class)
		}
		e, classified := errors.AsType[*codestory.Error](got)
		if classified != (c.class != codestory.ClassRetry) || classified && (e.State != c.state || !strings.Contains(e.Hint, "the place")) {
			t.Errorf("%v: %+v, want state %q and a hint that names the place", got, e, c.state)
		}
	}
	if got := classify("the place", nil); got != nil {
		t.Errorf("nil: %v", got)
	}
}

func TestAbsent(t *testing.T) {
	t.Parallel()
	for err, want := range map[error]bool{
		fs.ErrorObjectNotFound: true, fs.ErrorDirNotFound: true, fs.ErrorIsDir: true, iofs.ErrNotExist: true,
		syscall.ENOTDIR: true, syscall.ENAMETOOLONG: true,
		fs.ErrorPermissionDenied: false, syscall.EIO: false, fs.ErrorNotFoundInConfigFile: false,
	} {
		if got := absent(fmt.Errorf("stat: %w", err)); got != want {
			t.Errorf("%v: %v, want %v", err, got, want)
		}
	}
}
