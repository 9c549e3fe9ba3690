# make builds; make check is for between two edits; make test is everything,
# the virtual machines too. README.md says more.

# The go that go.mod asks for, got where it is missing.
GO ?= $(CURDIR)/testdata/script/go
export CGO_ENABLED = 0

VERSION  := $(shell packaging/version.sh)
LDFLAGS  := -s -w -X main.version=$(VERSION)
FUZZTIME ?= 3s
GOFMT    = $(shell $(GO) env GOROOT)/bin/gofmt

# Tools by version, so that they find the same tomorrow. They are not in go.mod:
# who builds snapbe needs none of them.
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOTESTSUM   := gotest.tools/gotestsum@v1.13.0

SCRIPTS := .ci/run packaging/version.sh packaging/deb/build.sh packaging/deb/postinst \
	packaging/deb/prerm packaging/deb/postrm packaging/kernel/zzz-snapbe bootloader/06_snapbe \
	bootloader/initramfs/conf/conf.d/snapbe bootloader/initramfs/scripts/init-bottom/zz-snapbe \
	$(wildcard bootloader/initramfs/snapbe/* packaging/systemd/lib/*) \
	$(wildcard testdata/script/* testdata/vm/*.sh)

.PHONY: all build check fmt vet unit scripts man lint fuzz prepare vm vmtest vmdeep test demo bench deb clean

all: build

build:
	$(GO) build -trimpath -buildvcs=false -ldflags '$(LDFLAGS)' -o build/snapbe ./cmd/snapbe

# Seconds, where little has changed.
check: fmt vet unit scripts man

fmt:
	@test -z "$$($(GOFMT) -l $$(git ls-files '*.go'))" || { $(GOFMT) -l $$(git ls-files '*.go'); exit 1; }

vet:
	$(GO) vet ./...
	$(GO) vet -tags vm ./...
	GOOS=illumos $(GO) vet ./...

# The tests of be open so many files that go test needs minutes, and gigabytes, to
# note them for its cache: that has no cached result.
unit:
	$(GO) test -count=1 -timeout 30m ./be
	$(GO) test -timeout 30m $$($(GO) list ./... | grep -vx snapbe/be)

scripts:
	@if command -v shellcheck >/dev/null; then shellcheck $(SCRIPTS); else echo "shellcheck is not installed: left out"; fi

man:
	@if command -v mandoc >/dev/null; then mandoc -Tlint -Wwarning docs/snapbe.8; else echo "mandoc is not installed: left out"; fi

# golangci-lint is asked where it is installed. govulncheck is for by hand: its
# data base is not to be had on every machine that runs the tests.
lint:
	$(GO) run $(STATICCHECK) -tags vm ./...
	@if command -v golangci-lint >/dev/null; then golangci-lint run --build-tags vm; fi

# Every fuzz test there is, for a short while each.
fuzz:
	GO="$(GO)" FUZZTIME=$(FUZZTIME) testdata/script/fuzz

# What the virtual machines need; as root, on Debian.
prepare:
	testdata/vm/prepare.sh

# The machines' images, once.
vm: prepare
	testdata/vm/build-all.sh

# What users were promised, on real hosts.
# Each test is told with its time as it ends; of one that fails all it said.
VMTEST = SNAPBE_LAB_SLOW=$${SNAPBE_LAB_SLOW:-2} $(GO) run $(GOTESTSUM) --format testname -- \
	-tags vm -count=1 -p 1 -parallel 3 -timeout 86m

vmtest: prepare deb
	$(VMTEST) ./internal/e2e/... ./packaging/...

# The lab itself, each entry of the menu on both releases' GRUB, the parts on both
# releases' OpenZFS, 20 zones, single zones, and more cuts and trials: some hours more,
# for who works on those.
vmdeep: prepare deb
	$(VMTEST) ./internal/lab/... ./bootloader/...
	SNAPBE_DEEP=1 $(VMTEST) -timeout 3h -run 'TestZones|TestZoneCommands|TestConformance|TestMount|TestEnv|TestTrial|TestKilled|TestPowerCut' ./internal/e2e/...

test:
	testdata/script/test

demo: prepare deb
	$(GO) run ./internal/demo

bench: prepare deb
	$(GO) test -tags vm -count=1 -timeout 6h -run '^$$' -bench . -benchtime 3x ./internal/e2e/...

deb: build
	packaging/deb/build.sh

clean:
	rm -rf build dist
