# make demo    show a web page through a tunnel on this machine (ONCE=1: exit after one fetch)
# make test    run all tests
# make unit    run the tests that start no process and never wait, in half a minute
# make lowest  run the tests with the minimum versions in setup.cfg, in a separate environment
# make pythons run unit tests, and the wheel, on the other Pythons of this machine
# make check   run ruff and mypy --strict, and check the documentation
# make generated  write what is made from the options: manual pages, and the tables in docs/commands.rst
# make docs    build the documentation as pages: .venv/docs/html/index.html
# make wheel   build the source distribution and from it the wheel, and test both in separate environments
# make release do all of a release but the upload (VERSION=0.2.0)
# make stress  run the long form of the tests that move much data, of reloads, and of those with random input
# make fuzz    fuzz all parsers, guided by coverage (SECONDS=60; ARGS="lane": one of them; ARGS=--keep: keep new inputs)
# make faults  test the tunnel under faults, and write docs/reliability.rst (root, an hour; ARGS="--list")
# make bench   compare the speed with other tunnels, 40 minutes (QUICK=1: 3 minutes; ARGS="--only bulk")
# make profile draw flame graphs of both ends under load (CASE=bulk, visitors, requests, tls-visitors, handshakes ...)
#
# The first call installs everything into .venv.

PYTHON ?= python3
VENV := .venv
# Programs start faster from compiled modules: the tests start hundreds.
export PYTHONDONTWRITEBYTECODE :=
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check
# The first page of the documentation is for Sphinx alone.
DOCUMENTS := $(filter-out docs/index.rst,$(wildcard *.rst docs/*.rst docs/*/*.rst newsfragments/README.rst))

.PHONY: help demo test unit lowest pythons check generated docs wheel stress fuzz faults bench measure profile release clean

help:
	@sed -n 's/^# \(make .*\)/\1/p' Makefile

demo: $(VENV)/installed
	@$(BIN)/bore demo $(if $(ONCE),--once)

# More processes than processors: the tests spend most of their time waiting.
test: $(VENV)/installed-test
	@$(BIN)/python -m pytest -q -n 4 --dist loadscope -rs

unit: $(VENV)/installed-test
	@$(BIN)/python -m pytest -q -n 2 --dist loadscope -m unit

# Of the slow tests of whole programs, which hardly depend on versions, only a few.
# bore/wire and bore/users import only Python's own library, bore/timing that and Twisted, whose lowest version is used;
# bore/handover, bore/logs, bore/server, bore/streams and bore/system also declare interfaces, as all others do. Of a
# cluster, only the engines depend on packages.
ASIDE := benchmarks cluster doctor handover interop laboratory logs processes relay screen server streams system timing \
    users wire __pycache__
LOWEST := $(filter-out $(ASIDE:%=tests/%/),$(wildcard tests/*/)) \
    $(wildcard tests/cluster/test_etcd*.py tests/cluster/test_redis*.py) tests/relay/test_encrypted.py \
    $(addprefix tests/processes/test_,bore.py sessions.py tls.py twistd.py)

lowest: $(BIN)/python
	@$(BIN)/python .ci/declared.py lowest > $(VENV)/lowest.txt
	@$(BIN)/python -m venv $(VENV)/lowest
	@$(VENV)/lowest/bin/python -m pip install --quiet --disable-pip-version-check --constraint $(VENV)/lowest.txt \
	    --editable '.[test]'
	@BORE_EXAMPLES=20 $(VENV)/lowest/bin/python -m pytest -q -n 4 --dist loadscope $(LOWEST)

pythons: $(BIN)/python
	@.ci/pythons $(VENV)

check: $(VENV)/installed-dev $(VENV)/installed-test
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@for each in $(DOCUMENTS); do \
	    $(BIN)/docutils --strict --report=info $$each $(VENV)/document.html || exit 1; \
	done
	@$(BIN)/python -m pytest -q tests/test_documentation.py

stress: $(VENV)/installed-test
	@BORE_STRESS=1 $(BIN)/python -m pytest -q tests/processes/test_stress.py tests/processes/test_lanestress.py \
	    tests/processes/test_hostiledoorway.py tests/processes/test_workeragreement.py tests/status/test_agreement.py \
	    tests/test_reloads.py tests/server/test_usertiming.py tests/laboratory/test_upgrades.py \
	    tests/processes/test_burst.py
	@BORE_EXAMPLES=500 $(BIN)/python -m pytest -q -n 2 --dist loadscope --timeout 600 tests/wire \
	    tests/tls/test_oddcertificates.py tests/tls/test_knownservers.py tests/relay/test_lanehostile.py \
	    tests/cluster/test_model.py

fuzz: $(VENV)/installed-fuzz
	@$(BIN)/python -m fuzz --seconds $(or $(SECONDS),60) $(ARGS)

faults: $(VENV)/installed-test
	@$(BIN)/python -m laboratory $(ARGS)

# With an optimised Python, if there is one: pyenv's default build takes a third more CPU time.
bench: $(BIN)/python
	@better=$$($(BIN)/python -m benchmarks.interpreter); \
	    $(MAKE) --no-print-directory measure $${better:+PYTHON=$$better VENV=$(VENV)/optimised}

measure: $(VENV)/installed-bench
	@$(BIN)/python -m benchmarks $(if $(QUICK),--quick) $(ARGS)

profile: $(VENV)/installed-bench
	@$(BIN)/python -m benchmarks.profile $(CASE)

generated: $(VENV)/installed
	@$(BIN)/python .ci/generated.py

docs: $(VENV)/installed-docs
	@$(BIN)/python -m sphinx --quiet --fail-on-warning --keep-going -b html docs $(VENV)/docs/html
	@echo $(VENV)/docs/html/index.html

wheel: $(VENV)/installed-dev $(VENV)/installed-test
	@rm -rf dist build $(VENV)/wheel $(VENV)/sdist
	@$(BIN)/python -m build > $(VENV)/wheel.log 2>&1 || { cat $(VENV)/wheel.log; exit 1; }
	@$(BIN)/twine check --strict dist/* > $(VENV)/twine.log || { cat $(VENV)/twine.log; exit 1; }
	@$(BIN)/python -m venv $(VENV)/wheel
	@$(VENV)/wheel/bin/python -m pip install --quiet --disable-pip-version-check dist/*.whl
	@cd / && $(CURDIR)/$(VENV)/wheel/bin/bore --version
	@cd / && $(CURDIR)/$(VENV)/wheel/bin/txbore --version > /dev/null
	@cd / && $(CURDIR)/$(VENV)/wheel/bin/python -m bore demo --once
	@cd / && $(CURDIR)/$(VENV)/wheel/bin/twistd bore-server --help > /dev/null
	@cd / && $(CURDIR)/$(VENV)/wheel/bin/twistd bore-client --help > /dev/null
	@cd / && $(CURDIR)/$(VENV)/wheel/bin/bore service show server > /dev/null  # the units are in the wheel
	@cd / && $(CURDIR)/$(VENV)/wheel/bin/python -c 'import importlib.resources as r; assert (r.files("bore") / "py.typed").is_file(); assert (r.files("bore.status") / "page" / "page.js").is_file()'
	@cd / && for aside in benchmarks fuzz laboratory tests; do \
	    ! $(CURDIR)/$(VENV)/wheel/bin/python -c "import $$aside" 2> /dev/null || exit 1; \
	done
	@mkdir $(VENV)/sdist && tar -xzf dist/*.tar.gz --strip-components=1 -C $(VENV)/sdist
	@cd $(VENV)/sdist && ../bin/python -m pytest -q -p no:cacheprovider --collect-only tests > ../sdist.log || { cat ../sdist.log; exit 1; }
	@cd $(VENV)/sdist && ../bin/python -m pytest -q -p no:cacheprovider tests/test_documentation.py tests/test_floors.py
	@ls dist/*

# Ends with what remains to be done by hand: see "A release" in CONTRIBUTING.rst.
release: $(VENV)/installed-dev
	@test -n "$(VERSION)" || { echo "make release VERSION=0.2.0" >&2; exit 1; }
	@test -z "$$(git status --porcelain)" || { echo "commit your changes first" >&2; exit 1; }
	@sed -i 's/^__version__ = .*/__version__ = "$(VERSION)"/' bore/version.py
	@$(BIN)/python .ci/generated.py
	@$(BIN)/towncrier build --yes --version $(VERSION)
	@git add --all && git commit --quiet --message "Release $(VERSION)"
	@$(MAKE) --no-print-directory wheel
	@git tag --annotate --message "txbore $(VERSION)" v$(VERSION)
	@echo "Now: git push --follow-tags && $(BIN)/twine upload dist/*"

clean:
	rm -rf $(VENV) build dist *.egg-info .hypothesis .mypy_cache .pytest_cache .ruff_cache

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2> /dev/null || { \
	    echo "Python 3.11 or later is needed, and $(PYTHON) is: $$($(PYTHON) --version 2>&1)." \
	         "Name another one: make PYTHON=python3.12 ..." >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2> /dev/null || { \
	    echo "$(PYTHON) cannot make virtual environments." \
	         "On Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }
	@echo "Setting up $(VENV), once ..."
	@$(PYTHON) -m venv $(VENV)

$(VENV)/installed: $(BIN)/python setup.cfg pyproject.toml
	@$(INSTALL) --editable .
	@touch $@

$(VENV)/installed-test: $(VENV)/installed
	@$(INSTALL) --editable '.[test,browser]'
	@touch $@

$(VENV)/installed-dev: $(VENV)/installed
	@$(INSTALL) --editable '.[dev]'
	@touch $@

$(VENV)/installed-docs: $(VENV)/installed
	@$(INSTALL) --editable '.[docs]'
	@touch $@

$(VENV)/installed-fuzz: $(VENV)/installed
	@$(INSTALL) --editable '.[fuzz]'
	@touch $@

$(VENV)/installed-bench: $(VENV)/installed
	@$(INSTALL) --editable '.[bench]'
	@touch $@
