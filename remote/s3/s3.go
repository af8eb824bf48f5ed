// Package s3 keeps objects in AWS S3, or in any server that speaks its protocol. It is the only place that knows S3's
// error codes, and outside of tests the only one that knows minio-go.
//
// It must not know the queue, the output directory or HTTP routes. Every call except Put of a large object is one request;
// every request is tried once.
package s3

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"github.com/minio/minio-go/v7/pkg/s3utils"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/remote"
)

// DefaultRegion is used if none is named, as every S3 client does.
const DefaultRegion = "us-east-1"

// Options say where the objects go.
type Options struct {
	Bucket         string // required
	Endpoint       string // URL of the server, without a path; "" is AWS S3 of the region
	PublicEndpoint string // URL that links are signed for, if players reach the server elsewhere; "" is Endpoint
	Region         string // "" is the one in the endpoint's name, else DefaultRegion
	CreateBucket   bool   // Check makes the bucket if it is missing

	AccessKey    string
	SecretKey    Secret
	SessionToken Secret // of temporary credentials; may be empty

	// Without AccessKey credentials come from where AWS's tools find them, by the environment or these.
	Profile         string // of the shared files; "" is AWS_PROFILE, else "default"
	ConfigFile      string // "" is AWS_CONFIG_FILE, else .aws/config in the home directory
	CredentialsFile string // "" is AWS_SHARED_CREDENTIALS_FILE, else .aws/credentials in the home directory

	CABundle string  // file of the certificates, in PEM, that sign the server's; "" are the system's
	Proxies  Proxies // the zero value is none

	Limiter *remote.Limiter // of what is sent; nil for no limit
	Logger  *slog.Logger    // nil for none
	Version string          // of this program, for the User-Agent; may be empty

	stall time.Duration // how long nothing may move on a connection; 0 is defaultStall
	sizes sizes         // of uploads in parts; 0 is the constant of that name
}

// Secret is text that prints as REDACTED.
type Secret string

const redacted = "REDACTED"

func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return redacted
}

// GoString is what %#v prints.
func (s Secret) GoString() string { return `"` + s.String() + `"` }

// LogValue implements slog.LogValuer.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText implements encoding.TextMarshaler, for JSON.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Store is a bucket. It has all the powers that package remote names.
type Store struct {
	info         remote.Info
	public       *url.URL // the endpoint that players use
	region       string
	createBucket bool
	sizes        sizes
	signParts    bool          // see isPlaintext
	silence      time.Duration // after which PutOptions.Silent is called
	log          *slog.Logger

	keyring   *keyring // nil if the credentials were given
	creds     *credentials.Credentials
	core      minio.Core
	links     *minio.Client // signs for the endpoint that players use; sends nothing
	transport *transport
	small     sync.Pool // of *[smallBody + 1]byte
}

var (
	_ remote.Store        = (*Store)(nil)
	_ remote.Aborter      = (*Store)(nil)
	_ remote.Copier       = (*Store)(nil)
	_ remote.Credentialed = (*Store)(nil)
	_ remote.FormSigner   = (*Store)(nil)
	_ remote.Linker       = (*Store)(nil)
	_ remote.Lister       = (*Store)(nil)
	_ remote.Prover       = (*Store)(nil)
	_ remote.Remover      = (*Store)(nil)
)

// New prepares the store without sending its server anything. Its error is one line for the person who set the options.
func New(opts Options) (*Store, error) {
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	if opts.Bucket == "" {
		return nil, errors.New("no bucket: set S3_BUCKET")
	}
	if err := s3utils.CheckValidBucketName(opts.Bucket); err != nil {
		shown := opts.Bucket
		if strings.Contains(shown, "@") { // a URL with a password
			shown = "(hidden)"
		}
		return nil, fmt.Errorf("S3_BUCKET %q cannot be the name of a bucket: %w", shown, err)
	}
	endpoint, err := parseEndpoint("S3_ENDPOINT_URL", opts.Endpoint)
	if err != nil {
		return nil, err
	}
	public, err := parseEndpoint("S3_PUBLIC_ENDPOINT_URL", opts.PublicEndpoint)
	if err != nil {
		return nil, err
	}
	roots, err := opts.roots()
	if err != nil {
		return nil, err
	}
	keys, profileRegion, err := opts.credentials(opts.credentialsClient(roots))
	if err != nil {
		return nil, err
	}
	region := opts.regionAt(endpoint, profileRegion)
	if endpoint == nil {
		endpoint = endpointOfAWS(region)
	}
	if public == nil {
		public = endpoint
	}
	s := &Store{
		info:         remote.Info{Kind: "s3", Endpoint: endpoint.String(), Bucket: opts.Bucket},
		public:       public,
		region:       region,
		createBucket: opts.CreateBucket,
		sizes:        opts.sizes.withDefaults(),
		signParts:    isPlaintext(endpoint),
		silence:      cmp.Or(opts.stall, defaultStall) / 15,
		log:          opts.Logger,
		keyring:      keys,
		creds:        credentials.NewStaticV4(opts.AccessKey, string(opts.SecretKey), string(opts.SessionToken)),
		transport:    newTransport(opts, roots),
		small:        sync.Pool{New: func() any { return new([smallBody + 1]byte) }},
	}
	if keys != nil {
		s.creds = credentials.New(keys)
	}
	if s.core.Client, err = newClient(endpoint, region, s.creds, s.transport); err != nil {
		return nil, fmt.Errorf("S3_ENDPOINT_URL %s: %w", endpoint, err)
	}
	s.core.SetAppInfo("codestoryd", opts.Version)
	if s.links, err = newClient(public, region, s.creds, sendsNothing{}); err != nil {
		return nil, fmt.Errorf("S3_PUBLIC_ENDPOINT_URL %s: %w", public, err)
	}
	return s, nil
}

// regionAt is the region to sign for. An endpoint of AWS has it in its name.
func (o Options) regionAt(endpoint *url.URL, profile string) string {
	region := o.Region
	if region == "" && endpoint != nil {
		region = s3utils.GetRegionFromURL(*endpoint)
	}
	return cmp.Or(region, profile, DefaultRegion)
}

func endpointOfAWS(region string) *url.URL {
	host := "s3." + region + ".amazonaws.com"
	if strings.HasPrefix(region, "cn-") {
		host += ".cn"
	}
	return &url.URL{Scheme: "https", Host: host}
}

// newClient sets what keeps minio-go to one request for a call: the region, so that it does not look up the bucket's, and
// no retries. minio-go itself decides whether the bucket goes into the host, as at AWS, or into the path.
func newClient(endpoint *url.URL, region string, creds *credentials.Credentials, rt http.RoundTripper,
) (*minio.Client, error) {
	return minio.New(endpoint.Host, &minio.Options{
		Creds: creds, Secure: endpoint.Scheme == "https", Region: region, Transport: rt, MaxRetries: 1,
	})
}

// sendsNothing is the transport of a client that only signs.
type sendsNothing struct{}

func (sendsNothing) RoundTrip(*http.Request) (*http.Response, error) {
	return nil, errors.New("links are signed without a request")
}

// parseEndpoint reads the URL of a server; "" is nil. setting is its name for people.
func parseEndpoint(setting, endpoint string) (*url.URL, error) {
	if endpoint == "" {
		return nil, nil
	}
	u, err := url.Parse(endpoint)
	var fault string
	switch {
	case err != nil:
		fault = "is no URL"
	case u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "":
		fault = "does not begin with http:// or https:// and a host"
	case u.User != nil:
		return nil, fmt.Errorf("%s has a user in it: credentials go into AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY", setting)
	case u.Path != "" && u.Path != "/":
		fault = "has a path: the bucket goes into S3_BUCKET"
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		fault = "has a query or fragment: leave it out"
	}
	if fault != "" {
		return nil, fmt.Errorf("%s %s; an example: http://127.0.0.1:9000", setting, fault) // what it holds may be a secret
	}
	return &url.URL{Scheme: u.Scheme, Host: u.Host}, nil
}

// Info implements remote.Store.
func (s *Store) Info() remote.Info { return s.info }

// Close ends idle connections.
func (s *Store) Close() error {
	s.transport.base.CloseIdleConnections()
	return nil
}

// Check implements remote.Store by listing at most one object. Unlike the answer to a HEAD of the bucket that to a list has
// a body, which tells a wrong key, a wrong signature, a missing bucket and a wrong clock apart.
//
// AccessDenied counts as an answer: the signature was right, and a policy may allow uploads and no listing. If it allows no
// uploads either, the first of them finds that out.
//
// With Options.CreateBucket it makes a bucket that is missing.
func (s *Store) Check(ctx context.Context) error {
	doing := "asking for bucket " + s.info.Bucket
	err := s.listOne(ctx)
	switch code := codeOf(err); {
	case code == minio.AccessDenied && ctx.Err() == nil:
		return nil
	case code == minio.NoSuchBucket && s.createBucket:
		doing = "making bucket " + s.info.Bucket
		err = s.core.MakeBucket(ctx, s.info.Bucket, minio.MakeBucketOptions{Region: s.region})
		if err == nil {
			s.log.Info("made the bucket", "bucket", s.info.Bucket, "endpoint", s.info.Endpoint)
		}
	}
	if err == nil || codeOf(err) == minio.BucketAlreadyOwnedByYou { // another client was quicker
		return nil
	}
	err = s.fail(ctx, doing, err)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return codestory.Pause(codestory.RemoteUnavailable, s.info.Endpoint+" does not answer in time", err)
	case codestory.ClassOf(ctx, err) == codestory.ClassRetry:
		return codestory.Pause(codestory.RemoteUnavailable, s.info.Endpoint+" does not answer as it should", err)
	default:
		return err
	}
}

func (s *Store) listOne(ctx context.Context) error {
	noOwner := false
	for object := range s.core.ListObjectsIter(ctx, s.info.Bucket, minio.ListObjectsOptions{
		Prefix: codestory.KeyPrefix, Recursive: true, MaxKeys: 1, FetchOwner: &noOwner,
	}) {
		return object.Err
	}
	return ctx.Err() // with which the iterator ends silently
}
