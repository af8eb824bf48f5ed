package rclone

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	iofs "io/fs"
	"net"
	"net/http"
	"net/textproto"
	"net/url"
	"os"
	"slices"
	"syscall"

	"github.com/rclone/rclone/fs"
	"github.com/rclone/rclone/fs/fserrors"
	"github.com/rclone/rclone/lib/file"
	"golang.org/x/oauth2"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/remote"
)

var (
	errIncomplete = errors.New("the store did not take all of it")
	errDiffers    = errors.New("the store holds other bytes than were sent")
)

// classify translates what rclone, a backend or the operating system returned. where names the store in hints. What
// is not listed is retried.
func classify(where string, err error) error {
	if _, ok := errors.AsType[*codestory.Error](err); ok || err == nil {
		return err
	}
	switch {
	case isFull(err):
		return codestory.Pause(codestory.RemoteFull, where+hintFull, err)
	case isAny(err, iofs.ErrPermission, fs.ErrorPermissionDenied, syscall.EROFS):
		return codestory.Pause(codestory.RemoteDenied, where+" refuses permission: check its owner, its permissions and how it is mounted", err)
	case isNotDirectory(err), isAny(err, fs.ErrorIsFile):
		return codestory.Block("a file in "+where+" stands where a directory is needed: rename one of the two", err)
	case isAny(err, fs.ErrorIsDir, fs.ErrorNotAFile, syscall.EISDIR):
		return codestory.Block("a directory in "+where+" stands where the file is to go: rename one of the two", err)
	case isTooLong(err):
		return codestory.Block("the name is longer than "+where+" can keep, or has what it cannot keep: rename the file", err)
	case isAny(err, fs.ErrorCantUploadEmptyFiles):
		return codestory.Block(where+" keeps no empty files", err)
	case isAny(err, fs.ErrorNotFoundInConfigFile):
		return codestory.Pause(codestory.RemoteMissing, where+" needs a remote that rclone.conf has not got: add it with rclone config", err)
	}
	if state, hint := answer(err); hint != "" {
		return codestory.Pause(state, where+hint, err)
	}
	if isUnreachable(err) {
		return codestory.Pause(codestory.RemoteUnavailable, where+" cannot be reached", err)
	}
	return err
}

// failure is the error of a put that ended with err. What is wrong with the file, and our own stop, come before what
// the store made of it.
func failure(ctx context.Context, where string, body *remote.Body, err error) error {
	if cause := body.Err(); cause != nil {
		return cause
	}
	if cause := ctx.Err(); cause != nil {
		return cause
	}
	return classify(where, err)
}

const (
	hintLogin = " refuses the login: renew it with rclone config"
	hintFull  = " is full: make room there"
	hintLater = " does not serve at the moment"
)

// answer is the destination's state, and the hint that goes behind its name, where err is what a server that was
// reached has answered; "" where it is not, or concerns one object only.
func answer(err error) (codestory.RemoteState, string) {
	if e, ok := errors.AsType[*oauth2.RetrieveError](err); ok && e.ErrorCode != "" { // else no OAuth server answered
		return codestory.RemoteDenied, hintLogin
	}
	if e, ok := errors.AsType[*textproto.Error](err); ok { // FTP: RFC 959, RFC 2228
		switch e.Code {
		case 430, 530, 532:
			return codestory.RemoteDenied, hintLogin
		case 452, 552:
			return codestory.RemoteFull, hintFull
		case 421, 425:
			return codestory.RemoteUnavailable, hintLater
		}
	}
	switch httpStatus(err) {
	case http.StatusUnauthorized, http.StatusForbidden:
		return codestory.RemoteDenied, hintLogin
	case http.StatusInsufficientStorage:
		return codestory.RemoteFull, hintFull
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return codestory.RemoteUnavailable, hintLater
	}
	return "", ""
}

// absent reports whether err says that there is no such object: a directory, or a way through a file, is none either.
func absent(err error) bool {
	return isAny(err, fs.ErrorObjectNotFound, fs.ErrorDirNotFound, fs.ErrorIsDir, fs.ErrorNotAFile, iofs.ErrNotExist) ||
		isNotDirectory(err) || isTooLong(err)
}

// notFound is err as the store's caller knows it.
func notFound(err error) error { return fmt.Errorf("%w: %w", codestory.ErrNotFound, err) }

func isFull(err error) bool {
	return fserrors.IsErrNoSpace(err) || isAny(err, syscall.ENOSPC, syscall.EDQUOT, file.ErrDiskFull)
}

func isNotDirectory(err error) bool { return isAny(err, syscall.ENOTDIR) }

func isTooLong(err error) bool {
	return isAny(err, syscall.ENAMETOOLONG, fs.ErrorFileNameTooLong) || isBadName(err)
}

// isUnreachable reports whether the store, or the disk that it is on, is not there. A connection that broke in the
// middle is no such sign: the next one tells.
func isUnreachable(err error) bool {
	if e, ok := errors.AsType[*net.OpError](err); ok && (e.Op == "dial" || e.Timeout()) {
		return true
	}
	if _, ok := errors.AsType[*net.DNSError](err); ok {
		return true
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return true
	}
	if e, ok := errors.AsType[*url.Error](err); ok && e.Timeout() {
		return true
	}
	return isAny(err, os.ErrDeadlineExceeded, syscall.ECONNREFUSED, syscall.ETIMEDOUT, syscall.ENOTCONN, syscall.ENODEV) ||
		isAny(err, goneDisk...)
}

func isAny(err error, targets ...error) bool {
	return slices.ContainsFunc(targets, func(target error) bool { return errors.Is(err, target) })
}
