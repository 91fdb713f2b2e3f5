# make acceptance: the use case, end to end, with a real Ollama, a real model and a real systemd without a network; other
# releases of Debian and one without systemd; then what may be in the stub, and every parser under random bytes.
# Needs root on Debian; installs what it lacks and says so. BUILDER is the builder's release binary.

.PHONY: acceptance
acceptance: acceptance-machines acceptance-sticks-large acceptance-fleet acceptance-arm64 acceptance-dist acceptance-docs deny fuzz-brief

# The book, built and opened without a network. .ci/run leaves it out: mdbook takes minutes to compile.
.PHONY: acceptance-docs
acceptance-docs: docs
	cargo test --quiet --package e2e --test docs -- --ignored --nocapture

# A package for ARM under qemu.
.PHONY: acceptance-arm64
acceptance-arm64: toolchain-aarch64 $(BUILDER)
	cargo test --quiet --package e2e --test arm64 -- --ignored --nocapture

# A real Ansible at three machines. .ci/run leaves it out: its time is an hour.
.PHONY: acceptance-fleet
acceptance-fleet: $(BUILDER)
	cargo run --quiet --package e2e --bin acceptance-inputs
	cargo test --quiet --package e2e --test ansible -- --ignored --nocapture
	AIRGAP_DEPLOY_BUILDER="$(abspath $(BUILDER))" \
	  cargo test --quiet --package e2e --test fleet -- --ignored --nocapture each_host

# Times and counts the ways to bring a package to three hosts.
.PHONY: measure-fleet
measure-fleet: $(BUILDER)
	cargo run --quiet --package e2e --bin acceptance-inputs
	AIRGAP_DEPLOY_BUILDER="$(abspath $(BUILDER))" \
	  cargo test --quiet --package e2e --test fleet -- --ignored --nocapture measured

# What people download: built twice in different directories and compared, its packages installed into bare roots, used and
# removed. .ci/run leaves it out: it compiles the release twice.
.PHONY: acceptance-dist
acceptance-dist: dist
	tools/dist_check.py

# A package of more than 4 GiB on FAT32. .ci/run leaves it out: it writes 21 GiB.
.PHONY: acceptance-sticks-large
acceptance-sticks-large: $(BUILDER)
	cargo test --quiet --package e2e --test sticks -- --ignored more_than_4_gib

.PHONY: acceptance-machines
acceptance-machines: $(BUILDER)
	cargo run --quiet --package e2e --bin acceptance-inputs
	cargo test --quiet --package e2e --test acceptance_harness -- --ignored --test-threads=1
	cargo test --quiet --package e2e --test templates -- --ignored --nocapture
	cargo test --quiet --package e2e --test modelfile -- --ignored --nocapture
	AIRGAP_DEPLOY_BUILDER="$(abspath $(BUILDER))" \
	  cargo test --quiet --package e2e --test matrix --test image -- --ignored --nocapture --test-threads=1
	AIRGAP_DEPLOY_BUILDER="$(abspath $(BUILDER))" \
	  cargo test --quiet --package e2e --test acceptance -- --ignored --nocapture --test-threads=1
	AIRGAP_DEPLOY_BUILDER="$(abspath $(BUILDER))" \
	  cargo test --quiet --package e2e --test living -- --ignored --nocapture
	cargo test --quiet --package e2e --test sticks -- --ignored --test-threads=1 --skip more_than_4_gib
	cargo test --quiet --package e2e --test large -- --ignored
	cargo test --quiet --package e2e --test read_once -- --ignored --nocapture
	cargo test --quiet --package e2e --test evidence -- --ignored
	cargo test --quiet --package e2e --test instructions -- --ignored --nocapture
	cargo test --quiet --package e2e --test trust -- minisign
	cargo test --quiet --package e2e --test interface -- --ignored
