package main

import (
	"context"
	"log/slog"
	"path/filepath"

	"github.com/codestory/codestoryd/remote"
	"github.com/codestory/codestoryd/remote/folder"
	"github.com/codestory/codestoryd/remote/rclone"
	"github.com/codestory/codestoryd/remote/s3"
)

// The names in the data directory.
const (
	databaseFile = "codestoryd.db"
	storeFolder  = "store"
)

// openStore makes the store that the settings name. It need not answer yet; what is wrong with the settings is an
// error of usage.
func (c config) openStore(ctx context.Context, log *slog.Logger) (remote.Store, error) {
	log = log.With("component", "remote")
	var (
		store remote.Store
		err   error
	)
	limiter := remote.NewLimiter(c.bandwidth.at)
	switch c.remote.kind {
	case "s3":
		store, err = s3.New(s3.Options{
			Bucket: c.s3.bucket, Endpoint: c.s3.endpoint, PublicEndpoint: c.s3.publicEndpoint, Region: c.s3.region,
			AccessKey: c.s3.accessKey, SecretKey: s3.Secret(c.s3.secretKey), SessionToken: s3.Secret(c.s3.sessionToken),
			Profile: c.s3.profile, ConfigFile: c.s3.configFile, CredentialsFile: c.s3.credentialsFile,
			CABundle: c.s3.caBundle, Proxies: s3.Proxies{HTTP: c.s3.httpProxy, HTTPS: c.s3.httpsProxy, None: c.s3.noProxy},
			CreateBucket: c.s3.createBucket,
			Limiter:      limiter, Logger: log, Version: version(),
		})
	case "rclone":
		store, err = rclone.New(ctx, c.remote.rclone, rclone.Options{Limiter: limiter, Logger: log})
	default:
		return folder.New(filepath.Join(c.dataDir, storeFolder), folder.Options{Limiter: limiter})
	}
	if err != nil {
		return nil, &usageError{err}
	}
	return store, nil
}
