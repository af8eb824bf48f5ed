package rclone

import (
	"errors"
	"net/http"

	b2 "github.com/rclone/rclone/backend/b2/api"
	box "github.com/rclone/rclone/backend/box/api"
	webdav "github.com/rclone/rclone/backend/webdav/api"
	"google.golang.org/api/googleapi"

	// The backends of every build. A choice, since all of rclone's make a program of 81 MB: protocols that people run
	// themselves, the storage services that cost little, and what is put over others. Google Drive costs most of these
	// (7 MB, for Google's SDK) and is kept because it is what rclone is used with more than anything else. S3, Google
	// Cloud Storage and Azure cost as much again each; the first two are what the s3 store is for. Compress and
	// chunker are left out because a reader can meet half of one version and half of another there. Whoever needs
	// another builds with the tag rclone_all. docs/operations.md has the sizes.
	_ "github.com/rclone/rclone/backend/alias"
	_ "github.com/rclone/rclone/backend/b2"
	_ "github.com/rclone/rclone/backend/box"
	_ "github.com/rclone/rclone/backend/combine"
	_ "github.com/rclone/rclone/backend/crypt"
	_ "github.com/rclone/rclone/backend/drive"
	_ "github.com/rclone/rclone/backend/dropbox"
	_ "github.com/rclone/rclone/backend/ftp"
	_ "github.com/rclone/rclone/backend/hasher"
	_ "github.com/rclone/rclone/backend/local" // that alias, crypt and others may stand on
	_ "github.com/rclone/rclone/backend/onedrive"
	_ "github.com/rclone/rclone/backend/pcloud"
	_ "github.com/rclone/rclone/backend/sftp"
	_ "github.com/rclone/rclone/backend/smb"
	_ "github.com/rclone/rclone/backend/union"
	_ "github.com/rclone/rclone/backend/webdav"
)

// httpStatus is the status that the store's server answered with, 0 where err does not say. Every backend has an
// error type of its own; those of the set above that carry a status are known here.
func httpStatus(err error) int {
	if e, ok := errors.AsType[*webdav.Error](err); ok {
		return e.StatusCode
	}
	if e, ok := errors.AsType[*b2.Error](err); ok {
		return e.Status
	}
	if e, ok := errors.AsType[*box.Error](err); ok {
		return e.Status
	}
	if e, ok := errors.AsType[*googleapi.Error](err); ok {
		for _, item := range e.Errors { // Drive answers 403 to all of these
			switch item.Reason {
			case "storageQuotaExceeded", "teamDriveFileLimitExceeded":
				return http.StatusInsufficientStorage
			case "userRateLimitExceeded", "rateLimitExceeded", "dailyLimitExceeded":
				return http.StatusTooManyRequests
			}
		}
		return e.Code
	}
	return 0
}
