# airgap-deploy. Start with `make demo`, then `make test`. Both need Rust, a C compiler and the crates, nothing else.

BUILDER := target/release/builder
DEMO := target/demo
RUN := $(DEMO)/demo-deploy.run

.PHONY: help
help:
	@echo "make demo        build a package, show its plan, install, verify and uninstall it below $(DEMO)/root"
	@echo "make test        formatting, lints, unit and integration tests"
	@echo "make acceptance  the use case with a real Ollama, model and systemd (root on Debian; downloads)"
	@echo "make build       $(BUILDER), with the stub in it"
	@echo "make toolchain   a musl target for the stub: rustup, or Debian's packages"
	@echo "make deny        banned crates, licences, and where it can be fetched the advisory database (installs cargo-deny)"
	@echo "make fuzz-brief  every parser of untrusted bytes, 20 seconds each (nightly compiler; installs cargo-fuzz)"
	@echo "make clean       remove what was built"

.PHONY: toolchain
toolchain:
	@tools/toolchain.sh

.PHONY: build
build: toolchain
	cargo build --release --package builder

$(BUILDER): build

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
test: toolchain
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --quiet -- --deny warnings
	cargo test --workspace

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
