package s3

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials/ec2rolecreds"
	"github.com/aws/aws-sdk-go-v2/credentials/ssocreds"
	"github.com/aws/smithy-go/logging"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

var errNoCredentials = errors.New("no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE")

const (
	// roleTimeout is how long New waits for this machine to say that it has a role. One that has answers in milliseconds.
	roleTimeout = 1500 * time.Millisecond
	// retrieveTimeout bounds one attempt to get credentials: a server may be asked, or a program run, for them. All
	// requests wait for it, whatever their contexts, and so does the end of the daemon.
	retrieveTimeout = 15 * time.Second
	// failurePause is how long a failure is returned to all callers, and failureRetry how long credentials that are still
	// valid are used before the next attempt to renew them.
	failurePause = 2 * time.Second
	failureRetry = time.Minute
)

// keyring gets the credentials of requests from AWS's own SDK, again before they expire, after one of the files that they
// came from has changed, and after the server refused them. It is a credentials.Provider, whose methods minio-go calls one
// at a time.
//
// If renewing fails, credentials that are still valid stay in use: a file may be half-written, and a role's server away
// for a minute.
type keyring struct {
	opts   Options
	client *awshttp.BuildableClient

	mu    sync.Mutex
	files []string // that the credentials came from

	value  credentials.Value // the zero value before the first success
	seen   string            // the files' stamps before they were read
	renew  time.Time         // when to get them again; zero for never
	failed error             // of the last attempt
}

// credentials returns nil if the keys are in the options, else a keyring of what AWS's SDK finds for this user and machine,
// and the region of the profile. Mistakes in the files are errors here. The server of a role or of SSO is not asked before
// a request needs it, so that the daemon starts without a network; but if nothing names any credentials, and this machine
// has no role either, there is no reason to start.
func (o Options) credentials(client *awshttp.BuildableClient) (keys *keyring, region string, err error) {
	switch {
	case o.AccessKey != "" && o.SecretKey != "":
		return nil, "", nil
	case o.AccessKey != "":
		return nil, "", errors.New("AWS_ACCESS_KEY_ID is set without AWS_SECRET_ACCESS_KEY: set both")
	case o.SecretKey != "":
		return nil, "", errors.New("AWS_SECRET_ACCESS_KEY is set without AWS_ACCESS_KEY_ID: set both")
	}
	keys = &keyring{opts: o, client: client}
	cfg, err := keys.load(context.Background())
	if err != nil {
		return nil, "", err
	}
	if aws.IsCredentialsProvider(cfg.Credentials, (*ec2rolecreds.Provider)(nil)) {
		if o.Profile != "" {
			return nil, "", fmt.Errorf("profile %q has no aws_access_key_id and aws_secret_access_key, nor any other way to credentials", o.Profile)
		}
		ctx, cancel := context.WithTimeout(context.Background(), roleTimeout)
		defer cancel()
		if _, err := cfg.Credentials.Retrieve(ctx); err != nil {
			return nil, "", errNoCredentials
		}
	}
	return keys, cfg.Region, nil
}

// load has AWS's SDK read the environment and the shared files. It sends nothing. It notes which files it has read, or
// found missing.
func (k *keyring) load(ctx context.Context) (cfg aws.Config, err error) {
	env, err := config.NewEnvConfig()
	if err != nil {
		return aws.Config{}, fmt.Errorf("reading the AWS settings of the environment: %w", err)
	}
	configFile := cmp.Or(k.opts.ConfigFile, env.SharedConfigFile, config.DefaultSharedConfigFilename())
	credentialsFile := cmp.Or(k.opts.CredentialsFile, env.SharedCredentialsFile, config.DefaultSharedCredentialsFilename())
	files := []string{configFile, credentialsFile, env.WebIdentityTokenFilePath}
	defer func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		k.files = files
	}()
	options := []func(*config.LoadOptions) error{
		config.WithSharedConfigFiles([]string{configFile}),
		config.WithSharedCredentialsFiles([]string{credentialsFile}),
		config.WithHTTPClient(k.client),
		config.WithRetryMaxAttempts(1), // the queue tries again
		config.WithLogger(logging.Nop{}),
		config.WithDefaultRegion(cmp.Or(k.opts.Region, DefaultRegion)),
	}
	if k.opts.Profile != "" {
		options = append(options, config.WithSharedConfigProfile(k.opts.Profile))
	}
	if cfg, err = config.LoadDefaultConfig(ctx, options...); err != nil {
		return aws.Config{}, fmt.Errorf("profile %q of %s and %s: %s", cmp.Or(k.opts.Profile, "default"),
			configFile, credentialsFile, oneLine(err))
	}
	for _, source := range cfg.ConfigSources {
		if profile, ok := source.(config.SharedConfig); ok {
			files = append(files, profile.WebIdentityTokenFile, ssoTokenFile(profile))
		}
	}
	return cfg, nil
}

// ssoTokenFile is where `aws sso login` stores the token of a profile; "" if the profile has no SSO.
func ssoTokenFile(profile config.SharedConfig) string {
	name := profile.SSOStartURL
	if profile.SSOSession != nil {
		name = profile.SSOSession.Name
	}
	if name == "" {
		return ""
	}
	file, _ := ssocreds.StandardCachedTokenFilepath(name)
	return file
}

// IsExpired implements credentials.Provider.
func (k *keyring) IsExpired() bool {
	return !k.renew.IsZero() && !time.Now().Before(k.renew) || k.seen != k.stamps()
}

// Retrieve implements credentials.Provider.
func (k *keyring) Retrieve() (credentials.Value, error) { return k.RetrieveWithCredContext(nil) }

// RetrieveWithCredContext implements credentials.Provider.
func (k *keyring) RetrieveWithCredContext(cc *credentials.CredContext) (credentials.Value, error) {
	if k.failed == nil || k.IsExpired() {
		ctx := context.Background()
		if cc != nil && cc.Context != nil {
			ctx = cc.Context
		}
		ctx, cancel := context.WithTimeout(ctx, retrieveTimeout)
		defer cancel()
		k.refresh(ctx)
	}
	if k.failed != nil && !k.isValid() {
		return credentials.Value{}, k.failed
	}
	return k.value, nil
}

// refresh gets the credentials, or notes why it cannot.
func (k *keyring) refresh(ctx context.Context) {
	k.seen = k.stamps() // before the files are read: what changes meanwhile is read again
	cfg, err := k.load(ctx)
	var value aws.Credentials
	if err == nil {
		value, err = cfg.Credentials.Retrieve(ctx)
	}
	now := time.Now()
	if err != nil {
		k.failed, k.renew = &credentialsError{err}, now.Add(failurePause)
		if k.isValid() {
			k.renew = now.Add(failureRetry)
			k.opts.Logger.Warn("the credentials could not be renewed; the present ones stay in use", "error", err)
		}
		return
	}
	k.failed, k.renew = nil, time.Time{}
	k.value = credentials.Value{
		AccessKeyID: value.AccessKeyID, SecretAccessKey: value.SecretAccessKey, SessionToken: value.SessionToken,
		SignerType: credentials.SignatureV4,
	}
	if value.CanExpire {
		k.value.Expiration, k.renew = value.Expires, now.Add(value.Expires.Sub(now)*4/5)
	}
}

func (k *keyring) isValid() bool {
	return k.value.AccessKeyID != "" && (k.value.Expiration.IsZero() || time.Now().Before(k.value.Expiration))
}

// stamps is a text that differs if one of the files may have another content. It does not read them.
func (k *keyring) stamps() string {
	k.mu.Lock()
	files := k.files
	k.mu.Unlock()
	var b strings.Builder
	for _, name := range files {
		if info, err := os.Stat(name); err == nil {
			fmt.Fprintf(&b, "%s: %d %d\n", name, info.Size(), info.ModTime().UnixNano())
		}
	}
	return b.String()
}

// CredentialsSeen implements remote.Credentialed.
func (s *Store) CredentialsSeen() string {
	if s.keyring == nil {
		return ""
	}
	return s.keyring.stamps()
}

// credentialsError means that there are no credentials to sign a request with, so none was sent.
type credentialsError struct{ err error }

func (e *credentialsError) Error() string { return "getting the credentials: " + e.err.Error() }
func (e *credentialsError) Unwrap() error { return e.err }

// oneLine is the text of err without line breaks.
func oneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }
