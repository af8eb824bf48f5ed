.PHONY: build test lint run cross ci

build:
	go build -o codestoryd ./cmd/codestoryd

test:
	go test -timeout 30m ./...

lint:
	.ci/run lint

run:
	go run ./cmd/codestoryd run --dir testdata/output

cross:
	DIST=dist .ci/run cross

ci:
	.ci/run
