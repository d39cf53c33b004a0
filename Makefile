# Springback. `make help` lists what there is to make.

PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/installed

# Nothing below needs a network once the install is done. One thread a process: the same numbers everywhere.
export HF_HUB_OFFLINE := 1
export OMP_NUM_THREADS ?= 1
export TOKENIZERS_PARALLELISM := false

NBVAL := --nbval-lax --nbval-cell-timeout 300 --nbval-sanitize-with tests/nbval_sanitize.cfg

.PHONY: help book test lab site slides pdf quizzes models sweep bench gpu-evidence student grade autograder outputs \
  setup-cell clean release release-check check-links colab drift
.DEFAULT_GOAL := help

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 14

book: $(INSTALLED) ## run the notebooks that changed and build the site in _build/html
	@$(BIN)/python book/build.py

test: export SPRINGBACK_PROGRESS := off
test: $(INSTALLED) ## check style, code, models, notebooks and, in a browser, the built site
	$(BIN)/python book/browser.py
	command -v bwrap >/dev/null || $(BIN)/python book/apt.py bubblewrap
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pytest tests/unit tests/model tests/grading tests/notebooks chapters book/template.ipynb $(NBVAL)
	$(BIN)/python book/build.py --stored --clean
	$(BIN)/pytest tests/book

lab: $(INSTALLED) ## open the notebooks in JupyterLab, for this machine alone
	@$(BIN)/python book/serve.py lab

site: $(INSTALLED) ## show the built book in a browser, for this machine alone
	@$(BIN)/python book/serve.py site

slides: $(INSTALLED) ## make slides of the chapters in _build/slides, or of one: make slides NAME=rebound
	@$(BIN)/python book/slides.py $(NAME)

pdf: $(INSTALLED) ## print the built book into _build/springback.pdf
	@$(BIN)/python book/browser.py
	@$(BIN)/python book/pdf.py

quizzes: $(INSTALLED) ## print the quizzes, with a key, into _build/quizzes
	@$(BIN)/python book/browser.py
	@$(BIN)/python book/quizzes.py

models: $(INSTALLED) ## pre-train the micro models again (hours)
	@$(BIN)/python -m helpers.pretrain

sweep: $(INSTALLED) ## run the stored experiments that are not done, or one of them: make sweep NAME=replay (hours)
	@$(BIN)/python -m helpers.sweep $(NAME)

bench: book ## measure what the book costs on this machine
	@for part in tests/bench/bench_*.py; do $(BIN)/python $$part || exit 1; done

gpu-evidence: $(INSTALLED) ## measure what QLoRA takes on this machine's GPU (to try it on a CPU: TRY="--smallest --device cpu --to FOLDER")
	@$(BIN)/python tests/bench/gpu_evidence.py $(TRY)

student: $(INSTALLED) ## write the student edition, without solutions, to _build/student
	@$(BIN)/python book/edition.py

TO ?= grades.csv
grade: $(INSTALLED) ## grade a folder of submissions: make grade SUBMISSIONS=folder TO=grades.csv (options: TRY="--quick --feedback FOLDER")
	@$(BIN)/python book/grade.py "$(SUBMISSIONS)" --to "$(TO)" $(TRY)

autograder: $(INSTALLED) ## write the archive with which Gradescope grades a chapter: make autograder NAME=rebound
	@$(BIN)/python book/gradescope.py "$(NAME)"

outputs: $(INSTALLED) ## run the notebooks that changed and store their outputs in chapters/ (for maintainers)
	@$(BIN)/python book/build.py --write-outputs

setup-cell: $(INSTALLED) ## put the set-up cell, made from _config.yml's address, into every notebook
	@$(BIN)/python book/build.py --write-setup-cell

release: $(INSTALLED) ## make a release here, to be pushed by hand: make release VERSION=0.2.0 (for maintainers)
	@$(BIN)/python book/release.py "$(VERSION)"

release-check: $(INSTALLED) ## say what stands in the way of a release: make release-check VERSION=0.2.0
	@$(BIN)/python book/release.py "$(VERSION)" --check

check-links: $(INSTALLED) ## ask for every address that the pages link to (network)
	@$(BIN)/python book/links.py

colab: $(INSTALLED) ## run the set-up cell where Colab's packages are there already (network; options: TRY="--torch 2.13.0")
	@$(BIN)/python tests/versions/colab.py $(TRY)

drift: $(INSTALLED) ## test our calls with the oldest and the newest versions that pyproject.toml admits (network; TRY=...)
	@$(BIN)/python tests/versions/drift.py $(TRY)

clean: ## remove what the book was built from and to; installed packages and unfinished trainings stay
	rm -rf _build/html _build/.doctrees _build/source _build/executed _build/slides _build/quizzes _build/springback.pdf

# Done again only when what is to be installed changes; the stamp is last, so that a broken install is repeated.
$(INSTALLED): requirements.txt constraints.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || { \
	  echo "Springback needs Python 3.11, 3.12 or 3.13, and '$(PYTHON)' is not one of them: name one that is, as in 'make PYTHON=python3.12 $(MAKECMDGOALS)'." >&2; exit 1; }
	@$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.txt -c constraints.txt
	@touch $@
