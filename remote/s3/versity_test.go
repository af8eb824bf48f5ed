package s3

import (
	"testing"

	"github.com/codestory/codestoryd/remote"
	"github.com/codestory/codestoryd/remote/remotetest"
)

// TestVersity is the suite on a server of another house than MinIO.
func TestVersity(t *testing.T) {
	t.Parallel()
	server := remotetest.StartVersity(t, remotetest.VersityOptions{})
	remotetest.TestStore(t, func(t *testing.T) remote.Store {
		return open(t, server, server.Bucket(t), nil)
	}, remotetest.Options{Metadata: metadata(server)})
}
