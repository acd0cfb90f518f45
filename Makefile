# Targets for those who build and test Facteur; CONTRIBUTING.md explains them.

TAGS     := sqlite_fts5
VERSION  := $(shell git describe --tags --always --dirty 2>/dev/null)
GOFLAGS  += -tags=$(TAGS)
FUZZTIME ?= 60s
# What the interop tests run against Facteur; test/debian installs servers by itself.
PROGRAMS := swaks curl msmtp isync neomutt python3 util-linux nodejs npm

export GOFLAGS
export CGO_ENABLED := 1

.PHONY: build demo test lint fuzz bench bench-quick torture test-programs install

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

# Tests of programs that are missing are skipped and say so: without root, that is all that happens.
test-programs:
	@if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		dpkg -s $(PROGRAMS) >/dev/null 2>&1 || { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $(PROGRAMS) >/dev/null; } \
			|| echo "make test: some of $(PROGRAMS) could not be installed; their tests are skipped"; \
	else \
		echo "make test: not root on Debian, so nothing is installed; tests of programs that are missing are skipped"; \
	fi
	@if command -v npm >/dev/null && [ -f test/interop/node/package-lock.json ] && [ ! -d test/interop/node/node_modules ]; then \
		(cd test/interop/node && npm ci --silent --no-audit --no-fund) || echo "make test: npm ci failed; the tests with npm's clients are skipped"; \
	fi

# Every fuzz target for FUZZTIME, one after the other.
fuzz:
	@for pkg in $$(go list ./...); do \
		for target in $$(go test -list '^Fuzz' $$pkg | grep '^Fuzz'); do \
			echo "$$pkg $$target"; \
			go test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) $$pkg || exit 1; \
		done; \
	done

bench: build
	go run ./bench

bench-quick: build
	go run ./bench --quick

torture: build
	go run ./torture

install: build
	install -D -m 0755 facteur $(DESTDIR)/usr/local/bin/facteur
	install -D -m 0644 packaging/facteur.service $(DESTDIR)/etc/systemd/system/facteur.service
