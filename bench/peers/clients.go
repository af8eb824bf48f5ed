package main

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/remote/remotetest"
)

const ours = "codestoryd"

// client is a program that is measured.
type client struct {
	name   string
	binary string
	how    clientKind
}

// clientKind is how a program is told to store a directory, or to watch it.
type clientKind struct {
	program remotetest.Program // for those of other projects
	args    func(j job) []string
	watch   func(j job) []string // nil for one that cannot
	env     func(j job) []string
}

// job is one directory that is to be stored in one bucket.
type job struct {
	server  *remotetest.MinIO
	bucket  string
	dir     string
	scratch string // an empty folder, for what the program keeps
	local   bool   // for codestoryd: in its embedded store
}

func (j job) host() string { return strings.TrimPrefix(j.server.Endpoint, "http://") }

// knownClients are pinned at the newest version that the module proxy serves with its checksum. Where a program has a
// setting that makes it faster at this, it is given.
var knownClients = map[string]clientKind{
	ours: {args: oursArgs, watch: oursArgs, env: oursEnv},
	"mc": {
		program: remotetest.Program{Name: "mc", Package: "github.com/minio/mc", Version: "v0.0.0-20250313080218-cf909e1063a9"},
		args: func(j job) []string {
			return []string{"--quiet", "mirror", j.dir, "peer/" + j.bucket + "/" + codestory.KeyPrefix}
		},
		watch: func(j job) []string {
			return []string{"--quiet", "mirror", "--watch", j.dir, "peer/" + j.bucket + "/" + codestory.KeyPrefix}
		},
		env: func(j job) []string {
			return []string{
				"MC_CONFIG_DIR=" + filepath.Join(j.scratch, "mc"), "MC_UPDATE=off",
				"MC_HOST_peer=http://" + j.server.AccessKey + ":" + j.server.SecretKey + "@" + j.host(),
			}
		},
	},
	"rclone": {
		program: remotetest.Program{Name: "rclone", Package: "github.com/rclone/rclone", Version: "v1.76.0"},
		args: func(j job) []string {
			return []string{"copy", "--config", os.DevNull, "--transfers=16", "--checkers=16", "--fast-list",
				"--s3-no-check-bucket", "--s3-upload-concurrency=8", j.dir, "peer:" + j.bucket + "/" + codestory.KeyPrefix}
		},
		env: func(j job) []string {
			return []string{
				"RCLONE_CONFIG_PEER_TYPE=s3", "RCLONE_CONFIG_PEER_PROVIDER=Minio", "RCLONE_CONFIG_PEER_REGION=us-east-1",
				"RCLONE_CONFIG_PEER_ENDPOINT=" + j.server.Endpoint,
				"RCLONE_CONFIG_PEER_ACCESS_KEY_ID=" + j.server.AccessKey,
				"RCLONE_CONFIG_PEER_SECRET_ACCESS_KEY=" + j.server.SecretKey,
			}
		},
	},
	"s5cmd": {
		program: remotetest.Program{Name: "s5cmd", Package: "github.com/peak/s5cmd/v2", Version: "v2.3.0"},
		args: func(j job) []string {
			return []string{"--endpoint-url", j.server.Endpoint, "--log", "error",
				"cp", j.dir + "/", "s3://" + j.bucket + "/" + codestory.KeyPrefix}
		},
		env: func(j job) []string {
			return []string{
				"AWS_ACCESS_KEY_ID=" + j.server.AccessKey, "AWS_SECRET_ACCESS_KEY=" + j.server.SecretKey, "AWS_REGION=us-east-1",
			}
		},
	},
}

func oursArgs(j job) []string {
	return []string{"run", "--dir", j.dir, "--data-dir", dataDir(j), "--listen", "127.0.0.1:0", "--log-level", "warn"}
}

func oursEnv(j job) []string {
	if j.local {
		return nil
	}
	return []string{
		"S3_BUCKET=" + j.bucket, "S3_ENDPOINT_URL=" + j.server.Endpoint, "AWS_REGION=us-east-1",
		"AWS_ACCESS_KEY_ID=" + j.server.AccessKey, "AWS_SECRET_ACCESS_KEY=" + j.server.SecretKey,
	}
}

func dataDir(j job) string { return filepath.Join(j.scratch, "data") }
