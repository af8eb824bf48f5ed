package remotetest_test

import (
	"bytes"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/codestory/codestoryd/remote/remotetest"
)

// TestMinIOBuild builds the server where it is not there yet. Run it by itself before packages that need a MinIO are
// tested side by side, so that their time is not spent on waiting for it.
func TestMinIOBuild(t *testing.T) {
	t.Parallel()
	server := remotetest.StartMinIO(t, remotetest.MinIOOptions{})
	bucket := server.Bucket(t)
	data := remotetest.Bytes(1 << 20)
	_, err := server.Client().PutObject(t.Context(), bucket, "key", bytes.NewReader(data), 1<<20, minio.PutObjectOptions{})
	if err != nil {
		t.Fatal(err)
	}

	server.Stop()
	if resp, err := http.Get(server.Endpoint + "/minio/health/live"); err == nil {
		resp.Body.Close()
		t.Error("a stopped server answers")
	}
	server.Start(t)
	object, err := server.Client().GetObject(t.Context(), bucket, "key", minio.GetObjectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer object.Close()
	if got, err := io.ReadAll(object); err != nil || !bytes.Equal(got, data) {
		t.Errorf("after a restart: %d bytes, %v, want what was put before it", len(got), err)
	}
}

// TestVersityBuild is the same for the other server.
func TestVersityBuild(t *testing.T) {
	t.Parallel()
	server := remotetest.StartVersity(t, remotetest.VersityOptions{})
	bucket := server.Bucket(t)
	if _, err := server.Client().PutObject(t.Context(), bucket, "key", strings.NewReader("x"), 1, minio.PutObjectOptions{}); err != nil {
		t.Error(err)
	}
}

func TestCountingProxyKeepsSignatures(t *testing.T) {
	t.Parallel()
	server := remotetest.StartMinIO(t, remotetest.MinIOOptions{})
	bucket := server.Bucket(t)
	proxy := remotetest.CountingProxy(t, server.Endpoint)
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	client, err := minio.New(strings.TrimPrefix(proxy.URL, "http://"), &minio.Options{
		Creds:     credentials.NewStaticV4(server.AccessKey, server.SecretKey, ""),
		Region:    "us-east-1",
		Transport: transport,
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.PutObject(t.Context(), bucket, "a b+ü", strings.NewReader("x"), 1, minio.PutObjectOptions{}); err != nil {
		t.Error(err)
	}
	if _, err := client.StatObject(t.Context(), bucket, "a b+ü", minio.StatObjectOptions{}); err != nil {
		t.Error(err)
	}
	want := []string{"PUT /" + bucket + "/a%20b%2B%C3%BC", "HEAD /" + bucket + "/a%20b%2B%C3%BC"}
	if got := proxy.Requests(); !slices.Equal(got, want) {
		t.Errorf("the proxy saw %q, want %q", got, want)
	}
	if got := proxy.Requests(); len(got) != 0 {
		t.Errorf("and again: %q", got)
	}
}
