# Every target works on a fresh clone. Only `interop` needs more than Go: Node.js and npm. Details are in .ci/.

GOFUMPT  = GOWORK=off go tool -modfile=tools/gofumpt/go.mod gofumpt
GOLANGCI = go tool -modfile=$(CURDIR)/tools/golangci-lint/go.mod golangci-lint

.PHONY: test vet lint fmt fmt-check tidy build-each bench fuzz interop quickstart

# All tests; with -race where a C compiler works. Without make: `go test work`.
test:
	.ci/test

# go vet, and with it a type check of everything; of the core also on the platforms that differ most from this one.
vet:
	go vet work
	GOOS=windows go vet ./...
	GOOS=darwin go vet ./...
	GOOS=linux GOARCH=386 CGO_ENABLED=0 go vet ./...

lint:
	.ci/each $(GOLANGCI) run ./...

fmt:
	$(GOFUMPT) -w .

fmt-check:
	@out=$$($(GOFUMPT) -d .) && [ -z "$$out" ] || { echo "$$out"; echo "run: make fmt"; exit 1; }

# Reports a go.mod or go.sum that is not tidy.
tidy:
	.ci/each go mod tidy -diff

# Builds each module by its own go.mod, as a user of it does. It keeps nothing: bench would leave
# its program in its folder.
build-each:
	.ci/each go build -o /dev/null ./...

# This library beside its peers and the bare signature, in one program; writes docs/benchmarks.md and its chart. About 6 minutes
# on a machine that does nothing else. With HAProxy on the PATH it is measured, too.
bench:
	GOWORK=off go run -C bench . -cpu 1 -write ../docs

# Each fuzz target for FUZZTIME (default 10s).
fuzz:
	.ci/fuzz

# The tests against real identity providers, none of them skipped.
interop:
	npm ci --prefix interop
	BEARER_INTEROP=require GOWORK=off go test -C interop -count=1 -v ./...

# The newcomer's first command, checking itself.
quickstart:
	go run ./examples/quickstart -check
