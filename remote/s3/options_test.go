package s3

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/codestory/codestoryd/remote"
)

func valid() Options {
	return Options{Bucket: "bucket", Endpoint: "http://127.0.0.1:9000", AccessKey: "key", SecretKey: "hidden"}
}

func TestNewSaysWhatToChange(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "credentials")
	content := "[default]\naws_access_key_id = a\naws_secret_access_key = b\n[half]\naws_access_key_id = a\n[empty]\nregion = x\n"
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		change func(*Options)
		want   string
	}{
		{"no bucket", func(o *Options) { o.Bucket = "" }, "S3_BUCKET"},
		{"short bucket", func(o *Options) { o.Bucket = "ab" }, `S3_BUCKET "ab"`},
		{"bucket with a path", func(o *Options) { o.Bucket = "bucket/stories" }, "S3_BUCKET"},
		{"endpoint without scheme", func(o *Options) { o.Endpoint = "127.0.0.1:9000" }, "S3_ENDPOINT_URL"},
		{"endpoint by name without scheme", func(o *Options) { o.Endpoint = "minio:9000" }, "http://"},
		{"endpoint of another scheme", func(o *Options) { o.Endpoint = "ftp://minio" }, "http://"},
		{"endpoint without host", func(o *Options) { o.Endpoint = "http://:9000" }, "S3_ENDPOINT_URL"},
		{"endpoint with a path", func(o *Options) { o.Endpoint = "http://minio/bucket" }, "has a path"},
		{"endpoint with a query", func(o *Options) { o.Endpoint = "http://minio?x=y" }, "has a query"},
		{"endpoint with a user", func(o *Options) { o.Endpoint = "http://hidden:hidden@minio" }, "AWS_ACCESS_KEY_ID"},
		{"endpoint of nonsense", func(o *Options) { o.Endpoint = "http://[" }, "is no URL"},
		{"public endpoint", func(o *Options) { o.PublicEndpoint = "cdn.example" }, "S3_PUBLIC_ENDPOINT_URL"},
		{"key only", func(o *Options) { o.SecretKey = "" }, "AWS_SECRET_ACCESS_KEY"},
		{"secret only", func(o *Options) { o.AccessKey = "" }, "AWS_ACCESS_KEY_ID"},
		{"no credentials", func(o *Options) { o.AccessKey, o.SecretKey, o.CredentialsFile = "", "", file+".absent" }, "AWS_PROFILE"},
		{"certificates that are not there", func(o *Options) { o.CABundle = file + ".absent" }, "AWS_CA_BUNDLE"},
		{"certificates that are none", func(o *Options) { o.CABundle = file }, "AWS_CA_BUNDLE"},
		{"unknown profile", func(o *Options) {
			o.AccessKey, o.SecretKey, o.CredentialsFile, o.Profile = "", "", file, "nobody"
		}, "nobody"},
		{"profile without a file", func(o *Options) {
			o.AccessKey, o.SecretKey, o.CredentialsFile, o.Profile = "", "", file+".absent", "default"
		}, file + ".absent"},
		{"half a profile", func(o *Options) {
			o.AccessKey, o.SecretKey, o.CredentialsFile, o.Profile = "", "", file, "half"
		}, "partial credentials"},
		{"profile without keys", func(o *Options) {
			o.AccessKey, o.SecretKey, o.CredentialsFile, o.Profile = "", "", file, "empty"
		}, "aws_access_key_id"},
	} {
		opts := valid()
		opts.ConfigFile = file + ".absent"
		c.change(&opts)
		_, err := New(opts)
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.ContainsAny(err.Error(), "\n") {
			t.Errorf("%s: %v, want one line that says %q", c.name, err, c.want)
		} else if strings.Contains(err.Error(), "hidden") {
			t.Errorf("%s: the secret is in %v", c.name, err)
		}
	}
	opts := valid()
	opts.AccessKey, opts.SecretKey, opts.CredentialsFile, opts.ConfigFile = "", "", file, file+".absent"
	if _, err := New(opts); err != nil {
		t.Errorf("the default profile: %v", err)
	}
}

func TestEndpoints(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, endpoint, public, region, bucket string
		wantEndpoint, wantLink                 string // the link without its query
	}{
		{"AWS", "", "", "", "bucket", "https://s3.us-east-1.amazonaws.com",
			"https://bucket.s3.dualstack.us-east-1.amazonaws.com/" + key},
		{"AWS elsewhere", "", "", "eu-central-1", "bucket", "https://s3.eu-central-1.amazonaws.com",
			"https://bucket.s3.dualstack.eu-central-1.amazonaws.com/" + key},
		{"AWS in China", "", "", "cn-north-1", "bucket", "https://s3.cn-north-1.amazonaws.com.cn",
			"https://bucket.s3.dualstack.cn-north-1.amazonaws.com.cn/" + key},
		{"AWS by its endpoint", "https://s3.eu-west-1.amazonaws.com", "", "", "bucket",
			"https://s3.eu-west-1.amazonaws.com", "https://bucket.s3.dualstack.eu-west-1.amazonaws.com/" + key},
		{"a bucket with dots, which no certificate covers", "", "", "", "my.bucket", "https://s3.us-east-1.amazonaws.com",
			"https://s3.dualstack.us-east-1.amazonaws.com/my.bucket/" + key},
		{"MinIO", "http://127.0.0.1:9000/", "", "", "bucket", "http://127.0.0.1:9000", "http://127.0.0.1:9000/bucket/" + key},
		{"MinIO behind another name", "http://minio:9000", "https://cdn.example", "", "bucket", "http://minio:9000",
			"https://cdn.example/bucket/" + key},
	} {
		store, err := New(Options{
			Bucket: c.bucket, Endpoint: c.endpoint, PublicEndpoint: c.public, Region: c.region, AccessKey: "k", SecretKey: "s",
		})
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if got := store.Info().Endpoint; got != c.wantEndpoint {
			t.Errorf("%s: endpoint %s, want %s", c.name, got, c.wantEndpoint)
		}
		link, err := store.Link(t.Context(), remote.LinkRequest{Method: "GET", Key: key, Expires: time.Hour})
		if got, _, _ := strings.Cut(link.URL, "?"); err != nil || got != c.wantLink {
			t.Errorf("%s: link %s, %v, want %s", c.name, got, err, c.wantLink)
		}
	}
}

func TestSecretsAreNotShown(t *testing.T) {
	t.Parallel()
	opts := valid()
	opts.SessionToken = "hidden too"
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("start", "secret", opts.SecretKey, "token", opts.SessionToken)
	text, err := json.Marshal(opts.SecretKey)
	if err != nil {
		t.Fatal(err)
	}
	for name, shown := range map[string]string{
		"%v": fmt.Sprintf("%v", opts), "%+v": fmt.Sprintf("%+v", &opts), "%#v": fmt.Sprintf("%#v", opts),
		"%s": fmt.Sprintf("<%s>", opts.SecretKey), "%q": fmt.Sprintf("%q", opts.SecretKey),
		"%x": fmt.Sprintf("%x", opts.SecretKey), "log": log.String(), "JSON": string(text),
	} {
		if strings.Contains(shown, "hidden") || strings.Contains(shown, fmt.Sprintf("%x", "hidden")) {
			t.Errorf("%s shows the secret: %s", name, shown)
		}
	}
	if !strings.Contains(log.String(), redacted) || fmt.Sprint(Secret("")) != "" {
		t.Errorf("the log %q does not say that there is one, or %q that there is none", log.String(), Secret(""))
	}
}
