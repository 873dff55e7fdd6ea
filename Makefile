# Thin wrappers. Each target does its own set-up first; set-up is quiet and quick when all is there.

.PHONY: help setup tools plugins plugins-examples plugin-api demo run test bench bench-convert bench-examples bench-ingest bench-queue chaos fuzz check-graphql fuzz-graphql bench-graphql bench-subscribers

help:
	@echo "make demo     set up, build, scan all five types on bundled and local targets, check the findings"
	@echo "make run      set up, build and serve until interrupted"
	@echo "make test     set up and run every test (make test ARGS='-p tidy': what cargo test takes)"
	@echo "make bench    set up and run the benches"
	@echo "make bench-convert  only conversion, format by format: MB/s in wasm beside native, and the guest's memory (ARGS=\"zap-xml --runs 3\")"
	@echo "make bench-examples  the example plugin in Rust, Python and JavaScript: MB/s and start"
	@echo "make bench-ingest  100,000 results into a project with a million alerts, beside a bare COPY; fifty tenants at once"
	@echo "make bench-queue  the queue beside Graphile Worker, pg-boss and BullMQ (ARGS=--quick: a minute that shows that it works)"
	@echo "make bench-graphql  a nested page over a million findings beside PostGraphile, GraphQL Yoga and one SQL statement (ARGS=--quick: a minute that shows that it works)"
	@echo "make bench-subscribers  10,000 subscribers of one task: memory, the time of an event, and that none is lost (ARGS=--quick: a minute that shows that it works)"
	@echo "make chaos    1,000 kills, 20 restarts of Postgres, broken lines and wrong clocks over 5,000 tasks: 20 minutes (ARGS=--quick: one)"
	@echo "make fuzz     set up and fuzz what reads hostile bytes, a minute each (ARGS=\"--seconds 300 zip capture\")"
	@echo "make check-graphql  the API with tools of client people: audits, clients, linter, Relay, codegen (ARGS=\"schema clients\": some of them)"
	@echo "make fuzz-graphql  made-up queries and mutations: ten minutes of schemathesis (ARGS=60: seconds), 20,000 between two tenants"
	@echo "make plugins  set up and build the wasm plugins"
	@echo "make plugins-examples  build and test the example plugin in Rust, Python and JavaScript"
	@echo "make plugin-api  write docs/plugin-api.md from wit/v1"
	@echo "make tools    install the scanners that the platform's registries offer (make tools ARGS=\"nikto sslscan\": some of them)"
	@echo "make setup    only install or find what the others need"

setup:
	@scripts/setup

tools: setup
	@scripts/tools $(ARGS)

plugins: setup
	@scripts/build-plugins

plugins-examples: setup
	@scripts/plugins-examples

plugin-api:
	@cd plugins && cargo run -q --locked -p tamiz-reference > ../docs/plugin-api.md

demo: setup
	@scripts/demo

run: setup
	@scripts/run

test: setup
	@scripts/test $(ARGS)

bench: setup
	@scripts/bench

bench-examples: setup
	@scripts/bench examples

bench-convert: setup
	@scripts/bench convert $(ARGS)

bench-ingest: setup
	@scripts/bench ingest $(ARGS)

bench-queue: setup
	@scripts/bench queue $(ARGS)

bench-graphql: setup
	@scripts/bench graphql $(ARGS)

bench-subscribers: setup
	@scripts/bench subscribers $(ARGS)

chaos: setup
	@scripts/bench chaos $(ARGS)

fuzz: setup
	@scripts/fuzz $(ARGS)

check-graphql: setup
	@scripts/check-graphql $(ARGS)

fuzz-graphql: setup
	@scripts/check-graphql --fuzz-seconds $(or $(ARGS),600) fuzz
	@TAMIZ_FUZZ_QUERIES=$${TAMIZ_FUZZ_QUERIES:-20000} TAMIZ_FUZZ_SEED=$${TAMIZ_FUZZ_SEED:-$$(date +%s)} \
		scripts/test -p e2e --test e2e -- isolation::fuzzing --nocapture
