// Package s3 keeps objects in AWS S3, or in any server that speaks its protocol. It is the only place that knows S3's
// error codes, and the only one but for tests that knows minio-go.
//
// It must not know the queue, the output directory or HTTP routes. Every call but that to put a large object is one
// request; every request is tried once.
package s3

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"github.com/minio/minio-go/v7/pkg/s3utils"

	"github.com/codestory/codestoryd/remote"
)

// DefaultRegion is used where none is named, as every S3 client does.
const DefaultRegion = "us-east-1"

// Options say where the objects go.
type Options struct {
	Bucket         string // required
	Endpoint       string // URL of the server, without a path; "" is AWS S3 of the region
	PublicEndpoint string // URL that links are made for, where players reach the server elsewhere; "" is Endpoint
	Region         string // "" is the one in the endpoint's name, else DefaultRegion
	CreateBucket   bool   // make the bucket where Check finds none

	AccessKey    string
	SecretKey    Secret
	SessionToken Secret // of temporary credentials; may be empty

	// Without AccessKey credentials come from where AWS's tools find them, by the environment or these.
	Profile         string // of the shared files; "" is AWS_PROFILE, else "default"
	ConfigFile      string // "" is AWS_CONFIG_FILE, else .aws/config in the home directory
	CredentialsFile string // "" is AWS_SHARED_CREDENTIALS_FILE, else .aws/credentials in the home directory

	CABundle string  // file of the certificates, in PEM, that the server's is to be signed by; "" are the system's
	Proxies  Proxies // the zero value is none

	Limiter *remote.Limiter // of what is sent; nil for no limit
	Logger  *slog.Logger    // nil for none
	Version string          // of this program, for the User-Agent; may be empty

	stall time.Duration // how long no byte may move on a connection; 0 is defaultStall
	sizes sizes         // of what is sent in parts; zero for those of S3
}

// Store is a bucket. Of what remote names it implements all.
type Store struct {
	info         remote.Info
	public       *url.URL // the endpoint that players use
	region       string
	createBucket bool
	sizes        sizes
	signParts    bool          // see exposed
	silence      time.Duration // after which a put that was not answered is told of
	log          *slog.Logger

	keys      *keyring
	creds     *credentials.Credentials // what keys holds, for the clients
	core      minio.Core
	links     *minio.Client // signs for the endpoint that players use; sends nothing
	recent    recent        // links
	transport *transport
	small     wholeBuffers

	answersSHA atomic.Bool // the server was seen to answer a PUT with a SHA-256, and no CRC
}

var (
	_ remote.Store         = (*Store)(nil)
	_ remote.Aborter       = (*Store)(nil)
	_ remote.Copier        = (*Store)(nil)
	_ remote.Credentialed  = (*Store)(nil)
	_ remote.FormSigner    = (*Store)(nil)
	_ remote.Linker        = (*Store)(nil)
	_ remote.Lister        = (*Store)(nil)
	_ remote.Locator       = (*Store)(nil)
	_ remote.Prover        = (*Store)(nil)
	_ remote.PutLinker     = (*Store)(nil)
	_ remote.Remover       = (*Store)(nil)
	_ remote.VersionOpener = (*Store)(nil)
)

// New prepares the bucket's store without asking its server anything. Its error is one line for the person who set
// the options.
func New(opts Options) (*Store, error) {
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	if opts.Bucket == "" {
		return nil, errors.New("no bucket: set S3_BUCKET")
	}
	if err := s3utils.CheckValidBucketName(opts.Bucket); err != nil {
		return nil, fmt.Errorf("S3_BUCKET %q cannot be the name of a bucket: %w", opts.Bucket, err)
	}
	endpoint, public, err := opts.endpoints()
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
		signParts:    exposed(endpoint),
		silence:      cmp.Or(opts.stall, defaultStall) / 15,
		log:          opts.Logger,
		keys:         keys,
		creds:        credentials.New(keys),
		transport:    newTransport(opts, roots),
	}
	client, err := newClient(endpoint, region, s.creds, s.transport)
	if err != nil {
		return nil, fmt.Errorf("S3_ENDPOINT_URL %s: %w", endpoint, err)
	}
	client.SetAppInfo("codestoryd", opts.Version)
	s.core = minio.Core{Client: client}
	if s.links, err = newClient(public, region, s.creds, sendsNothing{}); err != nil {
		return nil, fmt.Errorf("S3_PUBLIC_ENDPOINT_URL %s: %w", public, err)
	}
	return s, nil
}

// endpoints are where the server is, nil for AWS, and where players reach it, nil for the same.
func (o Options) endpoints() (endpoint, public *url.URL, err error) {
	if o.Endpoint != "" {
		if endpoint, err = parseEndpoint("S3_ENDPOINT_URL", o.Endpoint); err != nil {
			return nil, nil, err
		}
	}
	if o.PublicEndpoint != "" {
		if public, err = parseEndpoint("S3_PUBLIC_ENDPOINT_URL", o.PublicEndpoint); err != nil {
			return nil, nil, err
		}
	}
	return endpoint, public, nil
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

// newClient sets what keeps minio-go to one request for a call: the region, so that it does not ask for the bucket's,
// and no retries. Whether the bucket's name goes into the host or the path it knows by itself: into the path, but for
// AWS.
func newClient(endpoint *url.URL, region string, creds *credentials.Credentials, rt http.RoundTripper,
) (*minio.Client, error) {
	return minio.New(endpoint.Host, &minio.Options{
		Creds: creds, Secure: endpoint.Scheme == "https", Region: region, Transport: rt, MaxRetries: 1,
	})
}

// sendsNothing is the transport of a client that only signs.
type sendsNothing struct{}

func (sendsNothing) RoundTrip(*http.Request) (*http.Response, error) {
	return nil, errors.New("links are made without asking the server")
}

// parseEndpoint reads the URL of a server. setting is what people call it.
func parseEndpoint(setting, endpoint string) (*url.URL, error) {
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

// CredentialsSeen implements remote.Credentialed.
func (s *Store) CredentialsSeen() string { return s.keys.fingerprint() }

// Info implements remote.Store.
func (s *Store) Info() remote.Info { return s.info }

// Close ends the connections that are kept for later calls.
func (s *Store) Close() error {
	s.transport.base.CloseIdleConnections()
	return nil
}
