# make acceptance: the use case, end to end, with a real Ollama, a real model and a real systemd without a network.
# Needs root on Debian; installs what it lacks and says so. BUILDER is the builder's release binary.

.PHONY: acceptance
acceptance: $(BUILDER)
	cargo run --quiet --package e2e --bin acceptance-inputs
	cargo test --quiet --package e2e --test acceptance_harness -- --ignored --test-threads=1
	AIRGAP_DEPLOY_BUILDER="$(abspath $(BUILDER))" \
	  cargo test --quiet --package e2e --test acceptance -- --ignored --nocapture --test-threads=1
	cargo test --quiet --package e2e --test large -- --ignored
