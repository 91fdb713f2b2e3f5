# Fuzzing: needs a nightly compiler and cargo-fuzz. What the targets are, and how to run them for long: fuzz/README.md.

FUZZ_TARGETS := elf package index journal receipt gguf manifest lock
FUZZ_SECONDS := 20

.PHONY: fuzz-brief
fuzz-brief:
	@cargo +nightly fuzz --version > /dev/null || cargo install --locked cargo-fuzz
	set -e; for target in $(FUZZ_TARGETS); do \
		mkdir -p fuzz/corpus/$$target; \
		AIRGAP_DEPLOY_STUB=/bin/true cargo +nightly fuzz run $$target fuzz/corpus/$$target fuzz/seeds/$$target \
			-- -max_total_time=$(FUZZ_SECONDS) -max_len=65536 -rss_limit_mb=1024 -timeout=10 -print_final_stats=1; \
	done
