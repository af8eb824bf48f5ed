package main

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/remote/remotetest"
)

// Keys that are wrong are put right in AWS's shared file, and the daemon goes on by itself.
func TestCredentialsFileIsPutRight(t *testing.T) {
	t.Parallel()
	server := remotetest.StartMinIO(t, remotetest.MinIOOptions{})
	bucket := server.Bucket(t)
	file := filepath.Join(t.TempDir(), "credentials")
	give := func(secret string) {
		text := fmt.Sprintf("[stories]\naws_access_key_id = %s\naws_secret_access_key = %s\n", server.AccessKey, secret)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	give("wrong-secret")
	m := newMachine(t, "S3_BUCKET="+bucket, "S3_ENDPOINT_URL="+server.Endpoint, "AWS_PROFILE=stories",
		"AWS_SHARED_CREDENTIALS_FILE="+file)
	for i := range 20 {
		m.write(codestory.ChapterPath(story, i+1), []byte("chapter"))
	}
	m.start()
	m.await("denied", func(s codestory.Status) bool {
		return s.Remote.State == codestory.RemoteDenied && s.Queue.Queued == 20
	})
	give(server.SecretKey)
	m.awaitSynced(20)
	sameObjects(t, m, server, bucket)
}
