# The few commands of this project; `make` lists them. Everything runs in .venv, which is made on first use.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/installed
EXTRAS := test,check
OLDEST := .venv-oldest
OLDEST_STAMP := $(OLDEST)/installed

# Tests and benchmarks start hundreds of interpreters: without it each would compile the package anew.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help demo test check bench chaos fmt install-systemd uninstall-systemd

# For install-systemd: where the command moesif-shipper is, and where systemd looks for what an administrator adds.
DESTDIR ?=
BINDIR ?= /opt/moesif/bin
SYSCONFDIR ?= /etc
UNITS := moesif-shipper.service moesif-shipper.socket
TO := $(DESTDIR)$(SYSCONFDIR)

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-17s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(STAMP) ## application, traffic, shipper and a local collector; succeeds if the numbers agree
	@$(BIN)/python scripts/demo.py

test: $(STAMP) $(OLDEST_STAMP) ## all tests, two at a time
	@$(BIN)/pytest -n 2 --dist worksteal

check: $(STAMP) ## style, types and layers
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy --strict
	@$(BIN)/lint-imports --no-logo --no-cache

bench: $(STAMP) ## performance against the floor and the peers; takes minutes
	@$(BIN)/python scripts/bench.py --readme

chaos: $(STAMP) ## the fault campaign with its full counts; takes minutes to hours
	@$(BIN)/python scripts/chaos.py

fmt: $(STAMP) ## format the code, and repair what ruff can
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

install-systemd: ## the shipper as a service of systemd; DESTDIR=, BINDIR= (where moesif-shipper is)
	@install -d $(TO)/systemd/system $(TO)/sysusers.d $(TO)/tmpfiles.d $(TO)/moesif
	@install -d -m 0700 $(TO)/moesif/credentials
	@sed 's#/opt/moesif/bin/#$(BINDIR)/#' scripts/systemd/moesif-shipper.service > $(TO)/systemd/system/moesif-shipper.service
	@chmod 0644 $(TO)/systemd/system/moesif-shipper.service
	@install -m 0644 scripts/systemd/moesif-shipper.socket $(TO)/systemd/system/
	@install -m 0644 scripts/systemd/moesif.sysusers.conf $(TO)/sysusers.d/moesif.conf
	@install -m 0644 scripts/systemd/moesif.tmpfiles.conf $(TO)/tmpfiles.d/moesif.conf
	@test -e $(TO)/moesif/shipper.toml || install -m 0640 scripts/systemd/shipper.toml $(TO)/moesif/
	@echo "now: systemd-sysusers && systemd-tmpfiles --create moesif.conf && systemctl daemon-reload"
	@echo "     systemctl enable --now $(UNITS)"

uninstall-systemd: ## takes these files away; configuration, credentials and spool stay
	@rm -f $(addprefix $(TO)/systemd/system/,$(UNITS)) $(TO)/sysusers.d/moesif.conf $(TO)/tmpfiles.d/moesif.conf
	@echo "now: systemctl daemon-reload; what stays: $(TO)/moesif, $(DESTDIR)/var/lib/moesif and the user moesif"

$(STAMP): setup.py
	@echo "setting up $(VENV) ..."
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Python 3.11 or newer is needed; say make PYTHON=...")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[$(EXTRAS)]'
	@touch $@

# Starlette and FastAPI at the minimums of setup.py, all else as new as it gets; for tests/frameworks/test_oldest.py.
$(OLDEST_STAMP): setup.py | $(STAMP)
	@echo "setting up $(OLDEST) ..."
	@test -x $(OLDEST)/bin/python || $(PYTHON) -m venv $(OLDEST)
	@$(OLDEST)/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[oldest]' \
		$$(sed -nE 's/^ *"(starlette|fastapi)>=([0-9.]+)",$$/\1==\2/p' setup.py)
	@touch $@
