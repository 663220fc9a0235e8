.PHONY: demo test bench audit fmt lint

demo: # two nodes out of namespaces on this machine, with real output
	tests/setup
	tests/demo

test: # everything that proves the product, as root
	tests/run

bench: # beside other switches, as root: some 45 minutes; QUICK=1 under five, FULL=1 every combination
	tests/setup
	cargo build --release --package dataplane --package vtep-ctl
	cargo run --package vtep-bench --bin compare -- $(if $(QUICK),--quick) $(if $(FULL),--full)

audit: # licences, bans and sources of the dependencies
	tests/audit

fmt:
	cargo fmt --all

lint:
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	tests/check-layers
	tests/check-length
