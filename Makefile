# Targets for those who build and test Facteur; CONTRIBUTING.md explains them.

TAGS     := sqlite_fts5
VERSION  := $(shell git describe --tags --always --dirty 2>/dev/null)
GOFLAGS  += -tags=$(TAGS)
FUZZTIME ?= 60s

export GOFLAGS
export CGO_ENABLED := 1

.PHONY: build demo test lint fuzz bench bench-quick bench-million torture test-programs test-thunderbird test-roundcube install

build:
	go build -trimpath -ldflags "-X main.version=$(VERSION)" -o facteur ./cmd/facteur

demo: build
	./facteur demo

# -timeout is for one package; the whole suite takes a few minutes on two cores.
test: test-programs lint
	go test -race -timeout 15m ./...

lint:
	@out=$$(gofmt -l $$(git ls-files '*.go')); [ -z "$$out" ] || { echo "not gofmt'd:"; echo "$$out"; exit 1; }
	go vet ./...
	go tool staticcheck ./...

test-programs:
	@test/install.sh

# Every fuzz target for FUZZTIME, one after the other.
fuzz:
	@for pkg in $$(go list ./...); do \
		for target in $$(go test -list '^Fuzz' $$pkg | grep '^Fuzz'); do \
			echo "$$pkg $$target"; \
			go test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) $$pkg || exit 1; \
		done; \
	done

# Programs with windows, as root on Debian; they are downloaded at the first run and no part of "make test".
test-thunderbird:
	go run ./test/gui thunderbird

test-roundcube:
	go run ./test/gui roundcube

bench: build
	go run ./bench -out docs/performance.md

bench-quick: build
	go run ./bench -quick

bench-million: build
	go run ./bench -million -only '^million$$' -out docs/performance.md

torture: build
	go run ./torture

# Not after build: root has another Go, or none.
install:
	@[ -x facteur ] || { echo "run make build first, as yourself"; exit 1; }
	install -D -m 0755 facteur $(DESTDIR)/usr/local/bin/facteur
	install -D -m 0644 packaging/facteur.service $(DESTDIR)/etc/systemd/system/facteur.service
