# make run    the exporter with real models: status page, metrics, canary loads
# make demo   a translation service that loads models, beside exporter, Prometheus and Alertmanager
# make test   all tests, with real Prometheus and Alertmanager
# make lint   ruff and mypy --strict
# Each sets up what it needs first. Variables: PYTHON=python3.12, LISTEN=:9877, TORCH_PIP_ARGS='...'
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

LISTEN ?= :9877

help:                      ## say what there is
	@sed -n 's/^\([a-z-]*\):.*## /make \1\t/p' $(MAKEFILE_LIST) | expand -t 16

.venv/.exporter: pyproject.toml scripts/setup
	@scripts/setup exporter
	@touch $@

.venv/.dev: pyproject.toml scripts/setup
	@scripts/setup dev
	@touch $@ .venv/.exporter

.venv-models/.ready: pyproject.toml scripts/setup
	@scripts/setup models
	@touch $@

.venv-models/.hooks: scripts/setup | .venv-models/.ready
	@scripts/setup hooks
	@touch $@

.run/models/.ready: examples/make_models.py | .venv-models/.ready
	@echo "building a small NLLB, a small Aya and a copy of MiniLM in .run/models" >&2
	@.venv-models/bin/python examples/make_models.py .run/models
	@touch $@

.venv-models/.servers: scripts/setup | .venv-models/.ready
	@scripts/setup servers
	@touch $@

demo: .venv/.exporter .venv-models/.ready .venv-models/.hooks .venv-models/.servers .run/models/.ready   ## a translation service, the exporter, Prometheus and Alertmanager; Ctrl-C ends all
	@exec .venv/bin/python compose/demo/run.py $(DEMO_ARGS)

.venv-formats/.ready: scripts/setup
	@scripts/setup formats
	@touch $@

run: .venv/.exporter .venv-models/.ready .run/models/.ready   ## start the exporter on three real models; Ctrl-C ends it
	@echo "status page: http://localhost$(LISTEN)/   series: http://localhost$(LISTEN)/metrics   the first canary results come within a minute; Ctrl-C ends it" >&2
	@exec .venv/bin/model-load-exporter serve --config.file examples/run.yml --web.listen-address $(LISTEN) \
	    --spool.dir .run/spool --state.dir .run/state

test: .venv/.dev .venv-models/.ready .venv-models/.hooks .venv-models/.servers .venv-formats/.ready .run/models/.ready   ## set up and run every test
	@scripts/setup tools
	@.venv/bin/pytest $(PYTEST_ARGS)

lint: .venv/.dev           ## ruff and mypy --strict
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@.venv/bin/mypy
	@.venv/bin/mypy dashboards docs
	@.venv/bin/mypy compose/demo

format: .venv/.dev         ## let ruff put the code into shape
	@.venv/bin/ruff check --fix .
	@.venv/bin/ruff format .

dashboards: .venv/.dev     ## write dashboards/*.json from the code beside them
	@.venv/bin/python dashboards/fleet.py

clean:                     ## remove what make made: environments, models, state
	rm -rf .venv .venv-models .venv-formats .run dist

.PHONY: help run demo test lint format dashboards clean
