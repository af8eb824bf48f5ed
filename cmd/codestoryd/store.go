package main

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"regexp"
	"strings"

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

// s3Settings are the settings of an S3 store as they were given.
type s3Settings struct {
	bucket, endpoint, publicEndpoint, region string
	accessKey, secretKey, sessionToken       string
	profile, configFile, credentialsFile     string
	caBundle                                 string
	httpProxy, httpsProxy, noProxy           string
	createBucket                             bool
}

// bucketName is what S3 servers accept, with the upper case and the underscores of old buckets, tenants (tenant:bucket) and
// the ARNs of access points.
var bucketName = regexp.MustCompile(`^(arn:[^ /]+(/[A-Za-z0-9._-]+)*|[A-Za-z0-9][A-Za-z0-9._:-]{1,253}[A-Za-z0-9])$`)

// checkS3 checks the settings of S3. Those of a bucket without its name would store to the embedded store unseen.
func checkS3(v values, kind string, wrong func(name string, err error) error) (s s3Settings, err error) {
	s = s3Settings{
		bucket: v.get("S3_BUCKET"), endpoint: v.get("S3_ENDPOINT_URL"), publicEndpoint: v.get("S3_PUBLIC_ENDPOINT_URL"),
		region: v.get("AWS_REGION"), accessKey: v.get("AWS_ACCESS_KEY_ID"), secretKey: v.get("AWS_SECRET_ACCESS_KEY"),
		sessionToken: v.get("AWS_SESSION_TOKEN"), profile: v.get("AWS_PROFILE"),
		configFile: v.get("AWS_CONFIG_FILE"), credentialsFile: v.get("AWS_SHARED_CREDENTIALS_FILE"),
		caBundle:  v.get("AWS_CA_BUNDLE"),
		httpProxy: v.get("HTTP_PROXY"), httpsProxy: v.get("HTTPS_PROXY"), noProxy: v.get("NO_PROXY"),
	}
	if text := v.get("S3_CREATE_BUCKET"); text != "" {
		if s.createBucket, err = parseBool(text); err != nil {
			return s, wrong("S3_CREATE_BUCKET", err)
		}
	}
	switch {
	case s.bucket != "":
		if !bucketName.MatchString(s.bucket) || strings.Contains(s.bucket, "..") {
			return s, wrong("S3_BUCKET", errors.New("no bucket has such a name: use 3 to 63 lower-case letters, digits, hyphens and dots"))
		}
	case kind == "s3":
		return s, usagef("remote s3 needs a bucket: set S3_BUCKET")
	case v["remote"].source == byDefault:
		for _, setting := range settings {
			from := v[setting.name()].source
			if strings.HasPrefix(setting.name(), "S3_") && (from == fromFile || strings.HasPrefix(from, "environment S3_")) {
				return s, usagef("%s is set (from %s) and S3_BUCKET is not: set S3_BUCKET, or remote if another store is meant", setting.name(), from)
			}
		}
	}
	return s, nil
}

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
