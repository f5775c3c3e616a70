# `make results` and `make test` each set up a fresh machine by themselves (Python >= 3.11 and make), then run.
PYTHON ?= python3
CORES ?= all
WORKERS ?= 2
FAULTS ?= 20
SEED ?= 0
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
AUDIT := .audit

.PHONY: results test check lint architecture findings bench faults docs docs-serve lock audit sbom reference reproduce clean

results: $(READY)
	PATH="$(CURDIR)/$(BIN):$$PATH" snakemake --cores $(CORES) --quiet host rules reason
	@echo "The report is at $(CURDIR)/results/quick/index.html"

# Each file's tests in one process, of which there are WORKERS with one thread each and some 2 GiB; then the branches of
# the package that no test took (those of processes that tests start are not counted).
test: $(READY) lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder \
		--cov --cov-report=term-missing:skip-covered

# Lint, types and the tests that take no time: for every edit. `make test` is everything.
check: $(READY) lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder -m "not slow"

# What is held to the word list of docs/style.md.
PROSE := README.md CONTRIBUTING.md SECURITY.md config/README.md benchmarks/README.md results/README.md docs

# What others read by a published schema.
SCHEMA := $(BIN)/check-jsonschema --quiet --builtin-schema vendor

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/snakefmt --check Snakefile workflow
	$(BIN)/codespell
	$(BIN)/codespell --config tools/words.cfg $(PROSE)
	$(SCHEMA).github-workflows .github/workflows/*.yml
	$(SCHEMA).github-issue-forms .github/ISSUE_TEMPLATE/bug.yml .github/ISSUE_TEMPLATE/method.yml
	$(SCHEMA).github-issue-config .github/ISSUE_TEMPLATE/config.yml
	$(SCHEMA).citation-file-format CITATION.cff
	PATH="$(CURDIR)/$(BIN):$$PATH" snakemake --lint

# ARCHITECTURE.md from the imports and docstrings of the code.
architecture: $(READY)
	$(BIN)/python tools/architecture.py

# The whole profile smoke, interrupted at random moments and compared with an undisturbed run (docs/faults.md);
# the table is also in dist/faults.md.
faults: $(READY)
	mkdir -p dist
	PYTHONPATH="$(CURDIR)" $(BIN)/python tests/faults/campaign.py --faults $(FAULTS) --seed $(SEED) --markdown dist/faults.md

# The documents as a site in site/, to be read from there or from a server; a warning is an error.
docs: $(READY)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet
	@echo "The documents are at $(CURDIR)/site/index.html"

docs-serve: $(READY)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs serve

# The table of README.md from the tables of the reference runs.
findings: $(READY)
	$(BIN)/python -m tools.findings

# Every benchmark at a small size: tables on the screen, JSON and tables in dist/bench/. Larger: benchmarks/README.md
BENCH := OMP_NUM_THREADS=1 $(BIN)/python benchmarks
bench: $(READY)
	mkdir -p dist/bench
	$(BIN)/python -m mmbench.stages.lpips --out results/weights
	$(BENCH)/training.py --sizes 32 --rounds 4 --out dist/bench/training.json
	$(BENCH)/quality.py --weights results/weights --seeds 1 --budgets 2 10 --out dist/bench/quality.json
	$(BENCH)/multitask.py --rounds 6 --out dist/bench/multitask.json
	$(BENCH)/scaling.py --rounds 4 --out dist/bench/scaling.json
	$(BENCH)/sampling.py --weights results/weights --nfe 5 10 20 50 --seeds 1 --drawn 100 --filled 40 \
		--out dist/bench/sampling.json
	$(BENCH)/evaluation.py --items 2000 --weights results/weights --whole 2000 --compare --out dist/bench/evaluation.json
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BENCH)/overhead.py --out dist/bench/overhead.json
	$(BENCH)/startup.py --out dist/bench/startup.json

# The environment is whole when this file is there; an interrupted or outdated one is made anew.
$(READY): requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "error: mmbench needs Python 3.11 or later; this is " + sys.version.split()[0] + ". Try: make PYTHON=python3.11 $(MAKECMDGOALS)")'
	rm -rf $(VENV)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

lock:
	uv pip compile pyproject.toml --group dev --universal --python-version 3.11 --generate-hashes --no-annotate \
		--custom-compile-command "make lock" -o requirements.lock
	uv pip compile --group audit --universal --python-version 3.11 --generate-hashes --no-annotate \
		--custom-compile-command "make lock" -o requirements-audit.lock
	uv pip compile pyproject.toml --universal --python-version 3.12 --constraints requirements.lock --no-annotate \
		--no-header --quiet -o environment.pins
	sed '/- pip:$$/q' environment.yml > environment.new
	sed 's/^/      - /' environment.pins >> environment.new
	mv environment.new environment.yml
	rm environment.pins

$(AUDIT)/.ready: requirements-audit.lock
	rm -rf $(AUDIT)
	$(PYTHON) -m venv $(AUDIT)
	$(AUDIT)/bin/python -m pip install --quiet --require-hashes -r requirements-audit.lock
	touch $@

# Known vulnerabilities of every locked package; says so and succeeds where nobody can be asked.
audit: $(AUDIT)/.ready
	$(AUDIT)/bin/python tools/audit.py requirements.lock requirements-audit.lock

# What the environment is made of, with hashes, as CycloneDX; the same lock gives the same file.
sbom: $(AUDIT)/.ready
	mkdir -p dist
	sed "s/^dynamic = .*/version = \"$$($(PYTHON) -c 'import mmbench; print(mmbench.__version__)')\"/" pyproject.toml > dist/pyproject.toml
	$(AUDIT)/bin/cyclonedx-py requirements requirements.lock --pyproject dist/pyproject.toml --mc-type application \
		--output-reproducible --of JSON -o dist/sbom.cdx.json
	@echo "$(CURDIR)/dist/sbom.cdx.json"

# Keep the small outputs of a finished run for others to read: make reference PROFILE=camvid-masking
reference:
	@test -n "$(PROFILE)" || { echo "error: name a finished run: make reference PROFILE=quick"; exit 1; }
	PATH="$(CURDIR)/$(BIN):$$PATH" python -m mmbench keep results/$(PROFILE) results/reference/$(PROFILE)

# Make a kept run again, in results/RUN-again, and compare the two: make reproduce RUN=fashion-labels
reproduce: $(READY)
	@test -n "$(RUN)" || { echo "error: name a kept run: make reproduce RUN=fashion-labels"; exit 1; }
	PATH="$(CURDIR)/$(BIN):$$PATH" python -m mmbench reproduce results/reference/$(RUN) --cores $(CORES)

clean:
	rm -rf $(VENV) $(AUDIT) site .snakemake results/smoke results/quick results/weights
