package s3

import (
	"cmp"
	"context"
	"errors"
	"fmt"
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

// credentials finds what requests are signed with: the keys in the options, else whatever AWS's own SDK finds for this
// user and machine. What is wrong with the files is told here. A role's or an SSO's server is not asked before the first
// request needs it, so that the daemon starts without a network; but where nothing names any credentials, and this
// machine gives out none either, there is no reason to start.
func (o Options) credentials(client *awshttp.BuildableClient) (keys *keyring, region string, err error) {
	switch {
	case o.AccessKey != "" && o.SecretKey != "":
		return &keyring{value: credentials.Value{
			AccessKeyID: o.AccessKey, SecretAccessKey: string(o.SecretKey), SessionToken: string(o.SessionToken),
			SignerType: credentials.SignatureV4,
		}}, "", nil
	case o.AccessKey != "":
		return nil, "", errors.New("AWS_ACCESS_KEY_ID is set without AWS_SECRET_ACCESS_KEY: set both")
	case o.SecretKey != "":
		return nil, "", errors.New("AWS_SECRET_ACCESS_KEY is set without AWS_ACCESS_KEY_ID: set both")
	}
	chain := &chain{opts: o, client: client}
	keys = &keyring{chain: chain, log: o.Logger}
	cfg, files, err := chain.load(context.Background())
	if err != nil {
		return nil, "", err
	}
	keys.files.Store(&files)
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

// roleTimeout is how long the start waits for a machine to say that it has a role. One that has answers in
// milliseconds.
const roleTimeout = 1500 * time.Millisecond

// chain asks AWS's SDK where credentials come from: the environment, the profile of the shared files with all that one
// may say (keys, SSO, a process, a role of another profile), a web identity, the role of a container or a machine.
type chain struct {
	opts   Options
	client *awshttp.BuildableClient
}

// load asks nobody. It returns the files, too, that it has read, or whose absence it has seen.
func (c *chain) load(ctx context.Context) (cfg aws.Config, files []string, err error) {
	configFile, credentialsFile := c.opts.ConfigFile, c.opts.CredentialsFile
	env, err := config.NewEnvConfig()
	if err != nil {
		return aws.Config{}, nil, fmt.Errorf("reading the AWS settings of the environment: %w", err)
	}
	if configFile == "" {
		configFile = cmp.Or(env.SharedConfigFile, config.DefaultSharedConfigFilename())
	}
	if credentialsFile == "" {
		credentialsFile = cmp.Or(env.SharedCredentialsFile, config.DefaultSharedCredentialsFilename())
	}
	files = []string{configFile, credentialsFile, env.WebIdentityTokenFilePath}
	options := []func(*config.LoadOptions) error{
		config.WithSharedConfigFiles([]string{configFile}),
		config.WithSharedCredentialsFiles([]string{credentialsFile}),
		config.WithHTTPClient(c.client),
		config.WithRetryMaxAttempts(1), // the queue comes again
		config.WithLogger(logging.Nop{}),
		config.WithDefaultRegion(cmp.Or(c.opts.Region, DefaultRegion)),
	}
	if c.opts.Profile != "" {
		options = append(options, config.WithSharedConfigProfile(c.opts.Profile))
	}
	if cfg, err = config.LoadDefaultConfig(ctx, options...); err != nil {
		return aws.Config{}, files, fmt.Errorf("profile %q of %s and %s: %s", cmp.Or(c.opts.Profile, "default"),
			configFile, credentialsFile, oneLine(err))
	}
	for _, source := range cfg.ConfigSources {
		if shared, ok := source.(config.SharedConfig); ok {
			files = append(files, shared.WebIdentityTokenFile, tokenFile(shared))
		}
	}
	return cfg, files, nil
}

// tokenFile is where `aws sso login` leaves the token of a profile; "" for one that has no SSO.
func tokenFile(profile config.SharedConfig) string {
	name := profile.SSOStartURL
	if profile.SSOSession != nil {
		name = profile.SSOSession.Name
	}
	if name == "" {
		return ""
	}
	file, err := ssocreds.StandardCachedTokenFilepath(name)
	if err != nil {
		return ""
	}
	return file
}
