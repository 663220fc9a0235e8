.PHONY: demo test audit fmt lint

demo: # two nodes out of namespaces on this machine, with real output
	tests/setup
	tests/demo

test: # everything that proves the product, as root
	tests/run

audit: # licences, bans and sources of the dependencies
	tests/audit

fmt:
	cargo fmt --all

lint:
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	tests/check-layers
	tests/check-length
