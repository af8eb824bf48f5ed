package s3

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/remote"
	"github.com/codestory/codestoryd/remote/remotetest"
)

// largeDenied is told before the body is sent.
func largeDenied(t *testing.T, server *remotetest.Server) {
	store := open(t, server, server.Bucket(t), func(o *Options) { o.SecretKey = "not-the-secret" })
	_, err := put(t, store, remotetest.Bytes(5<<20))
	wantPause(t, err, codestory.RemoteDenied, "AWS_SECRET_ACCESS_KEY")
}

// assumeRole gets temporary credentials for all that the server's owner may and the policy allows; "" is no policy.
func assumeRole(t *testing.T, server *remotetest.Server, policy string) credentials.Value {
	t.Helper()
	role, err := credentials.NewSTSAssumeRole(server.Endpoint, credentials.STSAssumeRoleOptions{
		AccessKey: server.AccessKey, SecretKey: server.SecretKey, DurationSeconds: 900, Policy: policy,
	})
	if err != nil {
		t.Fatal(err)
	}
	value, err := role.GetWithContext(&credentials.CredContext{Client: http.DefaultClient})
	if err != nil || value.SessionToken == "" {
		t.Fatalf("temporary credentials: %v", err)
	}
	return value
}

// as opens a store with temporary credentials, which links and forms have to carry.
func as(t *testing.T, server *remotetest.Server, bucket, policy string) *Store {
	t.Helper()
	creds := assumeRole(t, server, policy)
	return open(t, server, bucket, func(o *Options) {
		o.AccessKey, o.SecretKey, o.SessionToken = creds.AccessKeyID, Secret(creds.SecretAccessKey), Secret(creds.SessionToken)
	})
}

func temporaryCredentials(t *testing.T, server *remotetest.Server) {
	remotetest.TestStore(t, func(t *testing.T) remote.Store {
		return as(t, server, server.Bucket(t), "")
	}, ofMinIO(server))
}

// oneDenied has a policy that keeps one object from being read and deleted.
func oneDenied(t *testing.T, server *remotetest.Server) {
	bucket := server.Bucket(t)
	store := as(t, server, bucket, `{"Version": "2012-10-17", "Statement": [
		{"Effect": "Allow", "Action": ["s3:*"], "Resource": ["arn:aws:s3:::*"]},
		{"Effect": "Deny", "Action": ["s3:DeleteObject", "s3:GetObject"], "Resource": ["arn:aws:s3:::`+bucket+`/stories/kept"]}]}`)
	keys := []string{"stories/a", "stories/kept", "stories/z"}
	for _, key := range keys {
		if _, err := store.Put(t.Context(), key, remotetest.NewSource([]byte("x")), remote.PutOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	err := store.Remove(t.Context(), keys)
	refused, ok := errors.AsType[*remote.RemoveError](err)
	if !ok || len(refused.Failed) != 1 || !strings.Contains(err.Error(), "stories/kept") {
		t.Fatalf("remove: %v, want a refusal of stories/kept", err)
	}
	wantPause(t, refused.Failed["stories/kept"], codestory.RemoteDenied, "policies")
	for _, key := range []string{"stories/a", "stories/z"} {
		if _, err := store.Stat(t.Context(), key); !errors.Is(err, codestory.ErrNotFound) {
			t.Errorf("%s: %v, want it gone", key, err)
		}
	}
	_, err = store.Stat(t.Context(), "stories/kept")
	wantPause(t, err, codestory.RemoteDenied, "policies")
}

func manyPages(t *testing.T, server *remotetest.Server) {
	const many = 1005 // more than a page
	bucket := server.Bucket(t)
	var want []string
	for i := range many {
		want = append(want, fmt.Sprintf("stories/%04d", i))
	}
	var puts sync.WaitGroup
	for chunk := range slices.Chunk(want, many/8+1) {
		puts.Go(func() {
			for _, key := range chunk {
				if _, err := server.Client().PutObject(t.Context(), bucket, key, strings.NewReader("x"), 1, minio.PutObjectOptions{}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	puts.Wait()
	proxy := remotetest.CountingProxy(t, server.Endpoint)
	store := open(t, server, bucket, func(o *Options) { o.Endpoint = proxy.URL })
	var got []string
	for object, err := range store.List(t.Context(), "stories/", "stories/0001") {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, object.Key)
	}
	if requests := proxy.Requests(); len(requests) != 2 || !slices.Equal(got, want[2:]) {
		t.Errorf("%d keys from %d requests, want %d from 2", len(got), len(requests), many-2)
	}
	if err := store.Remove(t.Context(), want); err != nil {
		t.Fatal(err)
	}
	if requests := proxy.Requests(); len(requests) != 2 {
		t.Errorf("%d requests to delete %d objects, want 2: %q", len(requests), many, requests)
	}
	for object := range store.List(t.Context(), "", "") {
		t.Fatalf("%s is there after all were deleted", object.Key)
	}
}

// putForeign has another client put data in parts of testPart, of which nobody keeps an MD5.
func putForeign(t *testing.T, server *remotetest.Server, bucket string, data []byte) {
	t.Helper()
	_, err := server.Client().PutObject(t.Context(), bucket, key, bytes.NewReader(data), int64(len(data)), minio.PutObjectOptions{
		PartSize: testPart, ContentType: "audio/mpeg", UserMetadata: map[string]string{"title": "Gruss"},
	})
	if err != nil {
		t.Fatal(err)
	}
}

// proofs downloads what has no MD5, and finds out where it is damaged.
func proofs(t *testing.T, server *remotetest.Server) {
	bucket := server.Bucket(t)
	store := open(t, server, bucket, nil)
	data := remotetest.Bytes(2*testPart + 100)
	putForeign(t, server, bucket, data)
	object, err := store.Stat(t.Context(), key)
	if err != nil || object.MD5 != "" || !strings.HasSuffix(object.ETag, "-3") {
		t.Fatalf("stat: %+v, %v, want an object in 3 parts", object, err)
	}
	path := filepath.Join(t.TempDir(), "story.mp3")
	if _, err := remote.Download(t.Context(), store, key, path, remote.DownloadOptions{}); err != nil {
		t.Errorf("download: %v", err)
	}
	for name, change := range map[string]func([]byte){
		"": func([]byte) {}, "a bit": func(b []byte) { b[testPart+7] ^= 1 },
	} {
		read := slices.Clone(data)
		change(read)
		proof, err := store.Proof(t.Context(), object)
		if err != nil || proof == nil {
			t.Fatalf("proof: %v, %v", proof, err)
		}
		for piece := range slices.Chunk(read, 1<<20+1) {
			_, _ = proof.Write(piece)
		}
		if err := proof.Verify(); (err == nil) != (name == "") || err != nil && !errors.Is(err, remote.ErrDiffers) {
			t.Errorf("with a change of %q: %v", name, err)
		}
	}
	putForeign(t, server, bucket, data[:testPart+1])
	if _, err := store.Proof(t.Context(), object); !errors.Is(err, remote.ErrReplaced) {
		t.Errorf("of a version that is gone: %v, want ErrReplaced", err)
	}
}

// copyOfParts copies what has no MD5, and an ETag of several parts.
func copyOfParts(t *testing.T, server *remotetest.Server) {
	bucket := server.Bucket(t)
	store := open(t, server, bucket, nil)
	data := remotetest.Bytes(2*testPart + 100)
	putForeign(t, server, bucket, data)
	object, err := store.Stat(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	made, err := store.Copy(t.Context(), object, key+".copy")
	if err != nil || made.Size != object.Size || made.ContentType != "audio/mpeg" {
		t.Fatalf("copy: %+v, %v", made, err)
	}
	info, err := server.Client().StatObject(t.Context(), bucket, key+".copy", minio.StatObjectOptions{})
	if err != nil || info.ETag != made.ETag || info.UserMetadata["Title"] != "Gruss" {
		t.Errorf("another client sees %+v, %v, want what copy returned: %+v", info, err, made)
	}
	object.Size = maxCopy + 1
	if _, err := store.Copy(t.Context(), object, key+".copy"); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("of more than 1 GiB: %v", err)
	}
}

func TestRemoveAnswers(t *testing.T) {
	t.Parallel()
	xml := func(body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/xml")
			fmt.Fprint(w, body)
		}
	}
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		failed []string // nil for an error of another kind
	}{
		"a login page": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			fmt.Fprint(w, "<html><body>Please log in</body></html>")
		}, nil},
		"nothing":            {func(w http.ResponseWriter, _ *http.Request) {}, nil},
		"SlowDown":           {refusing(503, "SlowDown", "", ""), nil},
		"denied":             {refusing(403, "AccessDenied", "", ""), nil},
		"other XML":          {xml(`<ListBucketResult></ListBucketResult>`), nil},
		"none is named":      {xml(`<DeleteResult></DeleteResult>`), []string{"a", "b", "c"}},
		"one is not named":   {xml(`<DeleteResult><Deleted><Key>a</Key></Deleted><Deleted><Key>c</Key></Deleted></DeleteResult>`), []string{"b"}},
		"an odd refusal":     {xml(`<DeleteResult><Deleted><Key>a</Key></Deleted><Deleted><Key>c</Key></Deleted><Error><Key>b</Key><Code>InvalidArgument</Code></Error></DeleteResult>`), []string{"b"}},
		"one fails for once": {xml(`<DeleteResult><Deleted><Key>a</Key></Deleted><Deleted><Key>c</Key></Deleted><Error><Key>b</Key><Code>InternalError</Code></Error></DeleteResult>`), []string{"b"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := answering(t, c.answer, nil).Remove(t.Context(), []string{"a", "b", "c"})
			refused, ok := errors.AsType[*remote.RemoveError](err)
			if err == nil || ok != (c.failed != nil) {
				t.Fatalf("remove: %v, want the refusal of %q, if not nil", err, c.failed)
			}
			for _, key := range c.failed {
				if refused.Failed[key] == nil || len(refused.Failed) != len(c.failed) {
					t.Errorf("remove: %v, want the refusal of %q", err, c.failed)
				}
			}
		})
	}
}

// TestListThatIsNone: nothing that is no list is taken for an empty one.
func TestListThatIsNone(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]http.HandlerFunc{
		"a login page": func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>Please log in</html>") },
		"denied":       refusing(403, "AccessDenied", "", ""),
		"out of order": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/xml")
			fmt.Fprint(w, `<ListBucketResult><Contents><Key>b</Key></Contents><Contents><Key>a</Key></Contents></ListBucketResult>`)
		},
	} {
		var last error
		for _, err := range answering(t, answer, nil).List(t.Context(), "", "") {
			last = err
		}
		if last == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// TestAbsentIsSure: only the store's own word that there is no such object is ErrNotFound.
func TestAbsentIsSure(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		want   bool
	}{
		"absent":        {refusing(404, "NoSuchKey", "", ""), true},
		"no bucket":     {refusing(404, "NoSuchBucket", "", ""), false},
		"no such user":  {refusing(404, "XAdminUserNotFound", "", ""), false},
		"denied":        {refusing(403, "AccessDenied", "", ""), false},
		"busy":          {refusing(503, "SlowDown", "", ""), false},
		"a login page":  {func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>Please log in</html>") }, false},
		"its not found": {http.NotFound, false},
	} {
		if _, err := answering(t, c.answer, nil).Stat(t.Context(), key); err == nil || errors.Is(err, codestory.ErrNotFound) != c.want {
			t.Errorf("%s: %v, want that it is absent: %v", name, err, c.want)
		}
	}
}

func TestFormURLs(t *testing.T) {
	t.Parallel()
	const object = "stories/a b/ü#1?.mp3"
	const path = "stories/a%20b/%C3%BC%231%3F.mp3"
	for want, change := range map[string]func(*Options){
		"https://bucket.s3.us-east-1.amazonaws.com/" + path:     func(o *Options) { o.Endpoint = "" },
		"https://bucket.s3.eu-west-3.amazonaws.com/" + path:     func(o *Options) { o.Endpoint, o.Region = "", "eu-west-3" },
		"https://bucket.s3.cn-north-1.amazonaws.com.cn/" + path: func(o *Options) { o.Endpoint, o.Region = "", "cn-north-1" },
		"https://s3.us-east-1.amazonaws.com/dots.in.it/" + path: func(o *Options) { o.Endpoint, o.Bucket = "", "dots.in.it" },
		"http://127.0.0.1:9000/bucket/" + path:                  func(o *Options) { o.Endpoint = "http://127.0.0.1:9000" },
		"https://media.example.com/bucket/" + path: func(o *Options) {
			o.Endpoint, o.PublicEndpoint = "http://127.0.0.1:9000", "https://media.example.com/"
		},
	} {
		opts := valid()
		opts.Bucket = "bucket"
		change(&opts)
		store, err := New(opts)
		if err != nil {
			t.Fatal(err)
		}
		form, err := store.Form(t.Context(), remote.FormRequest{Key: object, ContentType: "audio/mpeg", MaxBytes: 1})
		if err != nil || form.URL+path != want {
			t.Errorf("form for %s, %v, want it for %s", form.URL, err, strings.TrimSuffix(want, path))
		}
	}
}
