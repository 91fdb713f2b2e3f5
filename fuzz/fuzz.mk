# Fuzzing: needs a nightly compiler and cargo-fuzz. What the targets are: fuzz/README.md.

FUZZ_TARGETS := archive elf package transfer index signature journal receipt gguf manifest modelfile lock
FUZZ_SECONDS := 20
# The limits of one input. The leak detector mistakes what the C library keeps for ending threads for a leak.
FUZZ_LIMITS := -max_len=65536 -rss_limit_mb=2048 -timeout=20 -detect_leaks=0

.PHONY: fuzz-build
fuzz-build:
	@cargo +nightly --version > /dev/null 2>&1 || { echo "fuzz: rustup toolchain install nightly"; \
		rustup toolchain install nightly --profile minimal; }
	@cargo +nightly fuzz --version > /dev/null || { echo "fuzz: cargo install cargo-fuzz"; cargo install --quiet --locked cargo-fuzz; }
	AIRGAP_DEPLOY_STUB=/bin/true cargo +nightly fuzz build

# Every target for FUZZ_SECONDS seconds of processor time. A finding ends it; the limit itself (SIGXCPU, 152) does not.
.PHONY: fuzz-brief
fuzz-brief: fuzz-build
	@for target in $(FUZZ_TARGETS); do \
		mkdir -p fuzz/corpus/$$target fuzz/artifacts/$$target; \
		prlimit --cpu=$(FUZZ_SECONDS): fuzz/target/*/release/$$target fuzz/corpus/$$target fuzz/seeds/$$target \
			$(FUZZ_LIMITS) -artifact_prefix=fuzz/artifacts/$$target/ > fuzz/artifacts/$$target.log 2>&1; \
		if [ $$? != 152 ]; then tail -n 40 fuzz/artifacts/$$target.log; exit 1; fi; \
		echo "fuzz: $$target: $(FUZZ_SECONDS) seconds without a finding"; \
	done
