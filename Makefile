# Every target makes .venv itself when it is missing. Needs Python 3.11 or newer and make.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test browser soak lint fmt types bench clean

.venv: .venv/.ready

.venv/.ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[daemon,dev]'
	touch $@

demo: .venv
	$(BIN)/python demo $(if $(KEEP),--keep $(KEEP))

test: .venv
	$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder

# The dashboard in a real Chromium, where there is one (Debian: apt-get install chromium).
browser: .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[browser]'
	$(BIN)/python tests/browser $(KEEP)

# The full counts, and the second S3 server.
soak: .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[soak]'
	RECALLD_TEST_SOAK=1 $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder --timeout 3600

lint: .venv
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

fmt: .venv
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[bench]'
	$(BIN)/python bench/embedding.py
	$(BIN)/python bench/merge.py
	$(BIN)/python bench/redaction.py
	$(BIN)/python bench/hook.py
	$(BIN)/python bench/transfer.py
	$(BIN)/python bench/extraction.py
	$(BIN)/python bench/search.py --texts 5000 --rows 100000 --rounds 1 --seconds 4
	$(BIN)/python bench/store.py --texts 5000 --rows 50000 --seconds 10
	$(BIN)/python bench/ageing.py --texts 5000 --rows 50000
	$(BIN)/python bench/restart.py --texts 5000 --rows 100000
	$(BIN)/python bench/store_bytes.py --texts 5000 --rows 50000
	$(BIN)/python bench/forgetting.py --texts 5000 --rows 50000
	$(BIN)/python bench/backup.py --texts 5000 --rows 50000
	$(BIN)/python bench/retrieval.py --documentation
	$(BIN)/python bench/serve.py --texts 5000 --rows 50000 --seconds 5 --kills 20
	$(BIN)/python bench/not_yours.py --texts 5000
	$(BIN)/python bench/agents.py --texts 5000 --rows 50000 --seconds 5

clean:
	rm -rf .venv dist build
