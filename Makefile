# Thin wrappers. Each target does its own set-up first; set-up is quiet and quick when all is there.

.PHONY: help setup tools plugins demo run test bench

help:
	@echo "make demo     set up, build, scan all five types on bundled and local targets, check the findings"
	@echo "make run      set up, build and serve until interrupted"
	@echo "make test     set up and run every test (make test ARGS='-p tidy': what cargo test takes)"
	@echo "make bench    set up and run the benches"
	@echo "make plugins  set up and build the wasm plugins"
	@echo "make tools    install the scanners that the platform's registries offer (make tools ARGS=\"nikto sslscan\": some of them)"
	@echo "make setup    only install or find what the others need"

setup:
	@scripts/setup

tools: setup
	@scripts/tools $(ARGS)

plugins: setup
	@scripts/build-plugins

demo: setup
	@scripts/demo

run: setup
	@scripts/run

test: setup
	@scripts/test $(ARGS)

bench: setup
	@scripts/bench
