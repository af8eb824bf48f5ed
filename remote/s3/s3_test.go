package s3

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/remote"
	"github.com/codestory/codestoryd/remote/remotetest"
)

// wantPause fails the test unless err pauses the destination in that state, with a hint that says words.
func wantPause(t *testing.T, err error, state codestory.RemoteState, words string) {
	t.Helper()
	e, ok := errors.AsType[*codestory.Error](err)
	if !ok || e.Class != codestory.ClassPause || e.State != state || !strings.Contains(e.Hint, words) {
		t.Errorf("got %v, want a pause as %s that says %q", err, state, words)
	}
}

func TestMinIO(t *testing.T) {
	t.Parallel()
	server := remotetest.StartMinIO(t, remotetest.MinIOOptions{})
	testServer(t, server, ofMinIO(server))
	for name, test := range map[string]func(*testing.T, *remotetest.Server){
		"a policy without a list":   noListing,
		"a policy for one object":   oneDenied,
		"a large put is denied":     largeDenied,
		"temporary credentials":     temporaryCredentials,
		"as another client sees it": seenFromOutside,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, server)
		})
	}
}

// TestVersity is on a server of another house. It lets its owner do all, whatever a policy says, and keeps the
// Content-Encoding with which bodies are signed piece by piece, which AWS and MinIO take off.
func TestVersity(t *testing.T) {
	t.Parallel()
	server := remotetest.StartVersity(t, remotetest.VersityOptions{})
	testServer(t, server, ofVersity(server))
}

func ofMinIO(server *remotetest.Server) remotetest.Options {
	return remotetest.Options{Metadata: metadata(server)}
}

func ofVersity(server *remotetest.Server) remotetest.Options {
	return remotetest.Options{
		Metadata:    metadata(server),
		NoIsolation: "versitygw reads an object and its ETag one after the other",
	}
}

func testServer(t *testing.T, server *remotetest.Server, suite remotetest.Options) {
	t.Run("suite", func(t *testing.T) {
		t.Parallel()
		remotetest.TestStore(t, func(t *testing.T) remote.Store {
			return open(t, server, server.Bucket(t), nil)
		}, suite)
	})
	for name, test := range map[string]func(*testing.T, *remotetest.Server){
		"one request a call":     oneRequest,
		"wrong keys are denied":  wrongKeys,
		"no bucket is missing":   noBucket,
		"a bucket is made":       makesBucket,
		"public endpoint":        publicEndpoint,
		"the limit holds":        limited,
		"a list of many pages":   manyPages,
		"digests without an MD5": proofs,
		"a copy of parts":        copyOfParts,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, server)
		})
	}
}

func metadata(server *remotetest.MinIO) func(*testing.T, remote.Store, string) map[string]string {
	return func(t *testing.T, store remote.Store, key string) map[string]string {
		info, err := server.Client().StatObject(t.Context(), store.Info().Bucket, key, minio.StatObjectOptions{})
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]string{}
		for name, value := range info.UserMetadata {
			got[strings.ToLower(name)] = value
		}
		return got
	}
}

func oneRequest(t *testing.T, server *remotetest.MinIO) {
	bucket := server.Bucket(t)
	proxy := remotetest.CountingProxy(t, server.Endpoint)
	store := open(t, server, bucket, func(o *Options) { o.Endpoint = proxy.URL })
	object := "/" + bucket + "/" + key
	for _, call := range []struct {
		name string
		do   func() error
		want []string
	}{
		{"check", func() error { return store.Check(t.Context()) },
			[]string{"GET /" + bucket + "/?delimiter=&encoding-type=url&list-type=2&max-keys=1&prefix=stories%2F"}},
		{"put of nothing", func() error { _, err := put(t, store, nil); return err }, []string{"PUT " + object}},
		{"small put", func() error { _, err := put(t, store, []byte("x")); return err }, []string{"PUT " + object}},
		{"large put", func() error { _, err := put(t, store, remotetest.Bytes(20<<20)); return err },
			[]string{"PUT " + object}},
		{"stat", func() error { _, err := store.Stat(t.Context(), key); return err }, []string{"HEAD " + object}},
		{"open", func() error {
			body, _, err := store.Open(t.Context(), key, 5, 10)
			if err == nil {
				body.Close()
			}
			return err
		}, []string{"GET " + object}},
		{"link", func() error {
			_, err := store.Link(t.Context(), remote.LinkRequest{Method: "GET", Key: key, Expires: time.Hour})
			return err
		}, nil},
	} {
		if err := call.do(); err != nil {
			t.Errorf("%s: %v", call.name, err)
		}
		if got := proxy.Requests(); !slices.Equal(got, call.want) {
			t.Errorf("%s: the server got %q, want %q", call.name, got, call.want)
		}
	}
}

func wrongKeys(t *testing.T, server *remotetest.MinIO) {
	bucket := server.Bucket(t)
	for words, change := range map[string]func(*Options){
		"AWS_SECRET_ACCESS_KEY": func(o *Options) { o.SecretKey = "not-the-secret" },
		"AWS_ACCESS_KEY_ID":     func(o *Options) { o.AccessKey = "nobody" },
		"AWS_SESSION_TOKEN":     func(o *Options) { o.SessionToken = "not-a-token" },
	} {
		store := open(t, server, bucket, change)
		wantPause(t, store.Check(t.Context()), codestory.RemoteDenied, words)
		for _, size := range []int{0, 10} {
			_, err := put(t, store, remotetest.Bytes(size))
			wantPause(t, err, codestory.RemoteDenied, words)
		}
		_, _, err := store.Open(t.Context(), key, 0, -1)
		wantPause(t, err, codestory.RemoteDenied, words)
		if strings.Contains(err.Error(), "not-the-secret") {
			t.Errorf("the secret is in %v", err)
		}
	}
}

func noBucket(t *testing.T, server *remotetest.MinIO) {
	store := open(t, server, "not-there", nil)
	wantPause(t, store.Check(t.Context()), codestory.RemoteMissing, "S3_CREATE_BUCKET=1")
	_, err := put(t, store, []byte("x"))
	wantPause(t, err, codestory.RemoteMissing, "not-there")
	_, err = store.Stat(t.Context(), key)
	wantPause(t, err, codestory.RemoteMissing, "not-there")
	if errors.Is(err, codestory.ErrNotFound) {
		t.Error("the object is not found, though it is the bucket that is missing")
	}
}

func makesBucket(t *testing.T, server *remotetest.MinIO) {
	for _, bucket := range []string{"made-by-check", "made.with-dots"} {
		var log bytes.Buffer
		store := open(t, server, bucket, func(o *Options) {
			o.CreateBucket, o.Logger = true, slog.New(slog.NewTextHandler(&log, nil))
		})
		for range 2 {
			if err := store.Check(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if got := strings.Count(log.String(), "\n"); got != 1 || !strings.Contains(log.String(), bucket) {
			t.Errorf("the log has %q, want one line about %s", log.String(), bucket)
		}
		if _, err := put(t, store, []byte("x")); err != nil {
			t.Errorf("put into it: %v", err)
		}
	}
}

// noListing has a key that may put and nothing else: the store answers, and what it is for works.
func noListing(t *testing.T, server *remotetest.Server) {
	bucket := server.Bucket(t)
	store := as(t, server, bucket, `{"Version": "2012-10-17", "Statement": [
		{"Effect": "Allow", "Action": ["s3:PutObject"], "Resource": ["arn:aws:s3:::`+bucket+`/*"]}]}`)
	if err := store.Check(t.Context()); err != nil {
		t.Errorf("check: %v", err)
	}
	if _, err := put(t, store, []byte("x")); err != nil {
		t.Errorf("put: %v", err)
	}
	for _, err := range store.List(t.Context(), "", "") {
		wantPause(t, err, codestory.RemoteDenied, "policies")
	}
}

func publicEndpoint(t *testing.T, server *remotetest.MinIO) {
	proxy := remotetest.CountingProxy(t, server.Endpoint) // the way that players take
	store := open(t, server, server.Bucket(t), func(o *Options) { o.PublicEndpoint = proxy.URL })
	if _, err := put(t, store, []byte("the story")); err != nil {
		t.Fatal(err)
	}
	link, err := store.Link(t.Context(), remote.LinkRequest{Method: "GET", Key: key, Expires: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(link.URL, proxy.URL+"/") || len(proxy.Requests()) != 0 {
		t.Errorf("link %s, want one for %s that nobody was asked for", link.URL, proxy.URL)
	}
	resp, err := http.Get(link.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); resp.StatusCode != 200 || err != nil || string(body) != "the story" {
		t.Errorf("%s, %q, %v, want the story", resp.Status, body, err)
	}
	other := strings.Replace(link.URL, proxy.URL, server.Endpoint, 1) // the signature names the host
	resp, err = http.Get(other)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusForbidden {
		t.Errorf("at the other endpoint: %s, want 403", resp.Status)
	}
	if store.Info().Endpoint != server.Endpoint {
		t.Errorf("info names %s, want the endpoint that is uploaded to", store.Info().Endpoint)
	}
}

func limited(t *testing.T, server *remotetest.MinIO) {
	limiter := remote.NewLimiter(func(time.Time) int64 { return 1 << 20 })
	store := open(t, server, server.Bucket(t), func(o *Options) { o.Limiter = limiter })
	start := time.Now()
	if _, err := put(t, store, remotetest.Bytes(1<<20)); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(start); took < 850*time.Millisecond { // a second, less what a limiter lets pass at first
		t.Errorf("1 MiB at 1 MiB/s took %v", took)
	}
}

func seenFromOutside(t *testing.T, server *remotetest.MinIO) {
	bucket := server.Bucket(t)
	store := open(t, server, bucket, nil)
	for _, size := range []int{0, 1, 3 << 20} {
		object, err := put(t, store, remotetest.Bytes(size))
		if err != nil {
			t.Fatal(err)
		}
		got, err := server.Client().StatObject(t.Context(), bucket, key, minio.StatObjectOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if got.Size != int64(size) || got.ETag != object.ETag || got.ETag != object.MD5 || got.ContentType != "audio/mpeg" ||
			got.Metadata.Get("Content-Encoding") != "" {
			t.Errorf("another client sees %+v, want %d bytes, ETag %s, audio/mpeg, no encoding", got, size, object.MD5)
		}
	}
}

func TestServerAway(t *testing.T) {
	t.Parallel()
	server := remotetest.StartMinIO(t, remotetest.MinIOOptions{})
	store := open(t, server, server.Bucket(t), nil)
	if _, err := put(t, store, []byte("x")); err != nil {
		t.Fatal(err)
	}
	server.Stop()
	wantPause(t, store.Check(t.Context()), codestory.RemoteUnavailable, "cannot be reached: ")
	_, err := put(t, store, []byte("y"))
	wantPause(t, err, codestory.RemoteUnavailable, server.Endpoint)
	_, err = store.Stat(t.Context(), key)
	wantPause(t, err, codestory.RemoteUnavailable, "connection refused")
	if errors.Is(err, codestory.ErrNotFound) {
		t.Error("the object is not found, though nobody was there to tell")
	}
	server.Start(t)
	if err := store.Check(t.Context()); err != nil {
		t.Errorf("with the server back: %v", err)
	}
	if object, err := store.Stat(t.Context(), key); err != nil || object.Size != 1 {
		t.Errorf("with the server back: %+v, %v", object, err)
	}
}

// TestEncryptedBucket has ETags that are no MD5, as with a KMS of AWS.
func TestEncryptedBucket(t *testing.T) {
	t.Parallel()
	e := startKMS(t)
	store := e.open(t, func(*Options) {})
	data := remotetest.Bytes(1 << 20)
	object, err := put(t, store, data)
	if err != nil {
		t.Fatal(err)
	}
	if object.ETag == object.MD5 {
		t.Fatalf("the ETag is the MD5 %s: this server does not show what the test is about", object.MD5)
	}
	stat, err := store.Stat(t.Context(), key)
	if err != nil || stat.MD5 != "" || stat.ETag != object.ETag {
		t.Errorf("stat: %+v, %v, want the ETag %s and no MD5", stat, err, object.ETag)
	}
	body, _, err := store.Open(t.Context(), key, 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	if got, err := io.ReadAll(body); err != nil || !bytes.Equal(got, data) {
		t.Errorf("open: %d bytes, %v, want what was put", len(got), err)
	}
	if _, err := store.Copy(t.Context(), stat, key+".copy"); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("copy: %v, want it said that nothing proves one", err)
	}
	if _, err := remote.Download(t.Context(), store, key, filepath.Join(t.TempDir(), "x"), remote.DownloadOptions{}); err != nil {
		t.Errorf("download: %v", err)
	}
}

// ending is a provider of credentials that are good until then.
type ending time.Time

func endingCredentials(end time.Time) *credentials.Credentials { return credentials.New(ending(end)) }

func (e ending) Retrieve() (credentials.Value, error) { return e.RetrieveWithCredContext(nil) }

func (e ending) RetrieveWithCredContext(*credentials.CredContext) (credentials.Value, error) {
	return credentials.Value{
		AccessKeyID: "key", SecretAccessKey: "secret", SignerType: credentials.SignatureV4, Expiration: time.Time(e),
	}, nil
}

func (e ending) IsExpired() bool { return time.Now().After(time.Time(e)) }

func TestLinkOfCredentialsThatEnd(t *testing.T) {
	t.Parallel()
	end := time.Now().Add(10 * time.Minute).Truncate(time.Second)
	store := &Store{info: remote.Info{Bucket: "bucket"}}
	var err error
	store.links, err = newClient(&url.URL{Scheme: "http", Host: "127.0.0.1"}, DefaultRegion, endingCredentials(end), sendsNothing{})
	if err != nil {
		t.Fatal(err)
	}
	for asked, want := range map[time.Duration]time.Time{time.Hour: end, time.Minute: time.Now().Add(time.Minute)} {
		link, err := store.Link(context.Background(), remote.LinkRequest{Method: "GET", Key: key, Expires: asked})
		if err != nil {
			t.Fatal(err)
		}
		if got := link.Expires; got.Sub(want).Abs() > 5*time.Second {
			t.Errorf("for %v: expires %v, want %v", asked, got, want)
		}
	}
}

// TestVersityWithoutMD5 has ETags that are made of other checksums.
func TestVersityWithoutMD5(t *testing.T) {
	t.Parallel()
	server := remotetest.StartVersity(t, remotetest.VersityOptions{Args: []string{"--data-integrity-etag"}})
	opts := ofVersity(server)
	opts.NoLargeMD5 = "only the MD5s of its parts are known"
	remotetest.TestStore(t, func(t *testing.T) remote.Store {
		return open(t, server, server.Bucket(t), inParts)
	}, opts)
}
