package codestory_test

import (
	"fmt"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"
)

const composeFile = "docker-compose.minio.yml"

// compose is the part of the Compose file format that composeFile uses. A field that is not here fails the test.
type compose struct {
	Services map[string]composeService `yaml:"services"`
	Volumes  map[string]any            `yaml:"volumes"`
}

type composeService struct {
	Image       string            `yaml:"image"`
	Command     string            `yaml:"command"`
	Environment map[string]string `yaml:"environment"`
	Ports       []string          `yaml:"ports"`
	Volumes     []string          `yaml:"volumes"`
	DependsOn   map[string]struct {
		Condition string `yaml:"condition"`
	} `yaml:"depends_on"`
	Healthcheck *struct {
		Test     []string `yaml:"test"`
		Interval string   `yaml:"interval"`
		Timeout  string   `yaml:"timeout"`
		Retries  int      `yaml:"retries"`
	} `yaml:"healthcheck"`
}

// TestComposeServices holds what composeFile promises by itself: pinned images, ports on this machine only, and a
// bucket that is made once MinIO is healthy, with MinIO's own credentials.
func TestComposeServices(t *testing.T) {
	t.Parallel()
	file := readCompose(t)
	minio, bucket := file.Services["minio"], file.Services["bucket"]

	if got, want := minio.Image, "quay.io/minio/minio:RELEASE.2025-09-07T16-13-09Z"; got != want {
		t.Errorf("minio has the image %q, want %q", got, want)
	}
	if got, want := bucket.Image, "quay.io/minio/mc:RELEASE.2025-08-13T08-35-41Z"; got != want {
		t.Errorf("bucket has the image %q, want %q", got, want)
	}
	if want := []string{"127.0.0.1:9000:9000", "127.0.0.1:9001:9001"}; !slices.Equal(minio.Ports, want) {
		t.Errorf("minio publishes %q, want %q", minio.Ports, want)
	}
	for _, flag := range []string{"server /data", "--address :9000", "--console-address :9001"} {
		if !strings.Contains(minio.Command, flag) {
			t.Errorf("minio runs %q, without %q", minio.Command, flag)
		}
	}
	if _, named := file.Volumes["minio-data"]; !named || !slices.Equal(minio.Volumes, []string{"minio-data:/data"}) {
		t.Errorf("minio mounts %q of the volumes %v, want minio-data:/data", minio.Volumes, file.Volumes)
	}
	if minio.Healthcheck == nil || len(minio.Healthcheck.Test) < 2 || minio.Healthcheck.Test[0] != "CMD" {
		t.Error("minio has no health check that runs a command")
	}
	if got := bucket.DependsOn["minio"].Condition; got != "service_healthy" {
		t.Errorf("bucket waits until minio is %q, want service_healthy", got)
	}
	user, password := minio.Environment["MINIO_ROOT_USER"], minio.Environment["MINIO_ROOT_PASSWORD"]
	want := fmt.Sprintf("http://%s:%s@minio:9000", user, password)
	if got := bucket.Environment["MC_HOST_minio"]; got != want {
		t.Errorf("bucket asks %q, want %q", got, want)
	}
}

// TestComposeReadme holds composeFile against the README's S3 example: whoever types the one after the other finds
// the bucket there, and may write to it.
func TestComposeReadme(t *testing.T) {
	t.Parallel()
	minio, bucket := readCompose(t).Services["minio"], readCompose(t).Services["bucket"]
	example := readmeBlock(t, "S3_BUCKET=")
	settings := map[string]string{}
	for _, match := range regexp.MustCompile(`\b([A-Z][A-Z0-9_]+)=(\S*)`).FindAllStringSubmatch(example, -1) {
		settings[match[1]] = match[2]
	}

	if !strings.Contains(example, "-f "+composeFile+" up") {
		t.Errorf("the example does not start %s:\n%s", composeFile, example)
	}
	if got, want := bucket.Command, "mb --ignore-existing minio/"+settings["S3_BUCKET"]; got != want {
		t.Errorf("the bucket is made by %q, and the example wants %q", got, want)
	}
	if got, want := settings["AWS_ACCESS_KEY_ID"], minio.Environment["MINIO_ROOT_USER"]; got != want {
		t.Errorf("the example has the access key %q, MinIO %q", got, want)
	}
	if got, want := settings["AWS_SECRET_ACCESS_KEY"], minio.Environment["MINIO_ROOT_PASSWORD"]; got != want {
		t.Errorf("the example has the secret key %q, MinIO %q", got, want)
	}
	endpoint, err := url.Parse(settings["S3_ENDPOINT_URL"])
	if err != nil || endpoint.Scheme != "http" || !slices.Contains(minio.Ports, endpoint.Host+":9000") {
		t.Errorf("the example has the endpoint %q, and MinIO publishes %q", settings["S3_ENDPOINT_URL"], minio.Ports)
	}
	if want := "go run ./cmd/codestoryd run --dir testdata/output"; !strings.Contains(example, want) {
		t.Errorf("the example does not have %q:\n%s", want, example)
	}
}

func readCompose(t *testing.T) compose {
	t.Helper()
	data, err := os.ReadFile(composeFile)
	if err != nil {
		t.Fatal(err)
	}
	var file compose
	if err := yaml.Load(data, &file, yaml.WithKnownFields()); err != nil {
		t.Fatalf("%s: %v", composeFile, err)
	}
	return file
}

// readmeBlock is the text of the one fenced block of README.md that contains sign.
func readmeBlock(t *testing.T, sign string) string {
	t.Helper()
	data, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for i, part := range strings.Split("\n"+string(data), "\n```") {
		if i%2 == 1 && strings.Contains(part, sign) {
			found = append(found, part)
		}
	}
	if len(found) != 1 {
		t.Fatalf("README.md has %d fenced blocks with %q in them, want 1", len(found), sign)
	}
	return found[0]
}
