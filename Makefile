# airgap-deploy. Start with `make demo`, then `make test`. Both need Rust, a C compiler and the crates, nothing else.

BUILDER := target/release/builder
DEMO := target/demo
RUN := $(DEMO)/demo-deploy.run

.PHONY: help
help:
	@echo "make demo        build a package, show its plan, install, verify and uninstall it below $(DEMO)/root"
	@echo "make test        check, then unit and integration tests; ends with a line that counts what was skipped"
	@echo "make acceptance  the use case with a real Ollama, model and systemd (root on Debian; downloads); deny; fuzz-brief"
	@echo "make acceptance-fleet     of that, a real Ansible at three machines (not in .ci/run)"
	@echo "make acceptance-sticks-large  of that, more than 4 GiB on FAT32 (not in .ci/run)"
	@echo "make acceptance-dist      of that, make dist twice, and the packages in bare roots (not in .ci/run)"
	@echo "make acceptance-machines  of that, what boots a real systemd"
	@echo "make acceptance-arm64     of that, a package for ARM under qemu"
	@echo "make acceptance-docs      of that, the book, opened without a network (not in .ci/run)"
	@echo "make check       formatting, lints, the rooms of the code: what CI looks at before it runs a test"
	@echo "make hooks       let make check run before each commit"
	@echo "make build       $(BUILDER), with the stub in it"
	@echo "make dist        what people download, in target/dist: .tar.zst, .deb, .rpm (installs cargo-deb, cargo-generate-rpm)"
	@echo "make toolchain   a musl target for the stub: rustup, or Debian's packages"
	@echo "make toolchain-aarch64    the same for ARM: builders that are compiled after it carry a stub for it, too"
	@echo "make graph       which folders of the code import which"
	@echo "make crash-point SCENARIO=upgrade CHANGE=17  one kill of the crash series, and what becomes of it"
	@echo "make soak        all of the long series, of which the others run samples (hours; root on Debian)"
	@echo "make measure-fleet        ways to bring a package to three hosts, timed and counted"
	@echo "make bench       builder and installer against cp, tar, makeself, sha256sum and openssl; writes docs/performance.md"
	@echo "make docs        the book: docs/ as pages for a browser, readable offline, in target/book (installs mdbook)"
	@echo "make bench-loops  chunks, index, archive and GGUF header alone, with Criterion"
	@echo "make tour        docs/tour.md: the tour through the use case, recorded from pseudo-terminals (root)"
	@echo "make deny        banned crates, licences, and where it can be fetched the advisory database (installs cargo-deny)"
	@echo "make fuzz-brief  every parser of untrusted bytes, $(FUZZ_SECONDS) seconds each (nightly compiler; installs cargo-fuzz)"
	@echo "make fuzz-build  the fuzz targets, without running them"
	@echo "make clean       remove what was built"

.PHONY: toolchain
toolchain:
	@tools/toolchain.sh

.PHONY: toolchain-aarch64
toolchain-aarch64:
	@tools/toolchain.sh aarch64

.PHONY: build
build: toolchain
	cargo build --release --package builder

$(BUILDER): build

# Static, and the same bytes wherever it is built; with a stub for ARM after make toolchain-aarch64. Takes the book along that
# make docs built.
.PHONY: dist
dist: toolchain docs
	@tools/dist.py

.PHONY: demo
demo: build
	@rm -rf $(DEMO) && mkdir -p $(DEMO)/root
	$(BUILDER) --manifest manifests/demo.toml --update-lock --output $(RUN)
	@echo; echo "== the plan"
	$(RUN) --dry-run --root $(DEMO)/root
	@echo; echo "== install"
	$(RUN) --install --root $(DEMO)/root
	@echo; echo "== what was installed works"
	$(DEMO)/root/opt/demo/bin/builder --version
	@echo; echo "== verify the package and the installation"
	$(RUN) --verify
	$(RUN) --status --root $(DEMO)/root
	@echo; echo "== uninstall, with the copy that stayed on the target"
	$(DEMO)/root/var/lib/airgap-deploy/demo-deploy/airgap-deploy --uninstall --root $(DEMO)/root
	@test -z "$$(find $(DEMO)/root -mindepth 1)" && echo "demo: nothing is left below $(DEMO)/root"

.PHONY: test
test: toolchain check
	@tools/test.sh --workspace

.PHONY: check
check:
	@tools/check.sh

.PHONY: hooks
hooks:
	@ln -sf ../../tools/check.sh "$$(git rev-parse --git-path hooks)/pre-commit" && echo "hooks: make check runs before each commit"

.PHONY: graph
graph:
	@cargo run --quiet --package e2e --bin imports

# All of the long series, of which `make test` and `make acceptance` run samples. Hours; root on Debian.
.PHONY: soak
soak: $(BUILDER)
	AIRGAP_DEPLOY_EVERY=1 cargo test --package e2e --test crash_kill --test crash_shipped --test crash_resume --test crash_powerloss \
	  --test faults_injected --test faults_service_user --test property_states --test interference --test interference_packages --test interference_services -- --nocapture
	cargo test --package e2e --test crash_ext4 -- --ignored --nocapture
	AIRGAP_DEPLOY_EVERY=1 AIRGAP_DEPLOY_BUILDER="$(abspath $(BUILDER))" \
	  cargo test --package e2e --test matrix -- --ignored --nocapture --test-threads=1

# Settings and what it needs are at the top of the script: SIZE=2048 make bench. An idle machine, and 6 times SIZE of disk.
.PHONY: bench
bench: build
	tools/bench.py

# The inner loops alone. The reader of GGUF headers is compiled as for the fuzz targets, which may call it.
.PHONY: bench-loops
bench-loops:
	AIRGAP_DEPLOY_STUB=/bin/true RUSTFLAGS="--cfg fuzzing" cargo bench --manifest-path benches/Cargo.toml

# One point of the crash series: SCENARIO is install, upgrade or uninstall; CHANGE the number of the change before which
# the stub is killed; AGAIN that of the change before which the recovery is killed, if it is.
.PHONY: crash-point
crash-point:
	@cargo run --quiet --package e2e --bin crash-point -- $(SCENARIO) $(CHANGE) $(AGAIN)

# What a test compares with what the programs say: accepting other words is INSTA_UPDATE=always in front of the same command.
.PHONY: tour
tour:
	AIRGAP_DEPLOY_TOUR=record cargo test --quiet --package e2e --test tour

# With the search in it, without the server that mdbook brings for authors.
.PHONY: docs
docs:
	@command -v mdbook > /dev/null || { echo "docs: cargo install --locked mdbook"; cargo install --quiet --locked --no-default-features --features search mdbook; }
	@rm -rf target/book
	mdbook build

.PHONY: deny
deny:
	@command -v cargo-deny > /dev/null || { echo "deny: cargo install cargo-deny"; cargo install --quiet --locked cargo-deny; }
	cargo deny --log-level error check bans licenses sources
	cargo deny --log-level error --manifest-path stub/Cargo.toml --config stub/deny.toml check bans
	@if cargo deny --log-level off fetch > /dev/null 2>&1; then cargo deny --log-level error check advisories; \
		else echo "deny: the advisory database cannot be fetched from here; cargo deny check advisories looks the crates up in it"; fi

.PHONY: clean
clean:
	cargo clean

include tests/acceptance.mk
include fuzz/fuzz.mk
