"""A release, in a throw-away repository: what stands in its way, what it makes, and that it is all or nothing."""

import hashlib
import json
import re
import subprocess

import build
import edition
import nbformat
import pytest
import release
import sources
from nbformat.v4 import new_code_cell, new_notebook

import helpers

NOTEBOOK = "chapters/one.ipynb"
CHANGELOG = "# Changelog\n\n## [Unreleased]\n\n### Added\n\n- The first chapter.\n\n## [0.1.0] - unreleased\n\n- All.\n"
FILES = {
    "_config.yml": "repository: {url: https://example.org/a/b}\n",
    "_toc.yml": "format: jb-book\nroot: chapters/one\n",
    "CITATION.cff": "cff-version: 1.2.0\nversion: 0.1.0\nlicense: Apache-2.0\n",
    "CHANGELOG.md": CHANGELOG,
    "constraints.txt": "nothing==1\n",
    "book/student/README.md": "# The student edition\n",
    "book/student/requirements.txt": "-e .\n",
    "src/helpers/__init__.py": '"""Helpers."""\n\n__version__ = "0.1.0"\n',
}


def manifest(**files):
    """A manifest that lists `results/NAME.parquet` and `models/NAME/main/weights` with these contents."""
    paths = {f"{name.replace('__', '/').replace('_', '-')}": text for name, text in files.items()}
    return json.dumps(
        {"files": {path: {"sha256": hashlib.sha256(t.encode()).hexdigest()} for path, t in paths.items()}}
    )


def git(*arguments):
    return release.git(*arguments)


def write(name, text):
    path = sources.ROOT / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")


def commit(**texts):
    """Commit files, given by their names with `__` for a slash."""
    for name, text in texts.items():
        write(name, text)
    git("add", "--all")
    git("commit", "--quiet", "--message", "work")


def store_outputs():
    """What `make outputs` does, without running anything."""
    path = sources.ROOT / NOTEBOOK
    notebook = nbformat.read(path, as_version=4)
    notebook.metadata.springback = {"state": build.state_of(path, build.state_of_helpers())}
    nbformat.write(notebook, path)


def note(line):
    """Commit a line under [Unreleased]."""
    text = (sources.ROOT / "CHANGELOG.md").read_text("utf-8")
    commit(**{"CHANGELOG.md": text.replace("## [Unreleased]\n", f"## [Unreleased]\n\n- {line}\n", 1)})


@pytest.fixture(autouse=True)
def repository(tmp_path, monkeypatch):
    """A small book of version 0.1.0, all committed on main, that nothing keeps from being released."""
    root = tmp_path / "book"
    for module in (sources, edition):
        monkeypatch.setattr(module, "ROOT", root)
    monkeypatch.setattr(build, "EXECUTED", root / "_build/executed")
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):  # of a hook that runs the tests
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    (tmp_path / "gitconfig").write_text("[user]\n  name = A\n  email = a@example.org\n  useConfigOnly = true\n")
    root.mkdir()
    git("init", "--quiet", "--initial-branch", "main")
    for name, text in FILES.items():
        write(name, text)
    write("data/MANIFEST.json", manifest(results__rebound="1"))
    cells = [new_code_cell("def f(): ...\n# solution\ndef f():\n    return 1"), new_code_cell("1", id="of-a-teacher")]
    cells[1].metadata.tags = ["solution"]
    nbformat.write(new_notebook(cells=cells), root / "chapter")
    (root / "chapters").mkdir()
    (root / "chapter").replace(root / NOTEBOOK)
    store_outputs()
    commit()
    return root


def refused(version, *sentence):
    """Whether the one complaint about this release holds all of these words, and nothing has changed."""
    before = git("for-each-ref"), git("status", "--porcelain")
    assert release.main([version]) == 1
    assert (git("for-each-ref"), git("status", "--porcelain")) == before
    found = release.problems(version)
    assert len(found) == 1, found
    assert [word for word in sentence if word not in found[0]] == []
    return True


def released(version):
    assert release.problems(version) == []
    assert release.main([version]) == 0
    return True


class TestRefusals:
    def test_there_is_nothing_to_refuse(self, capsys):
        assert release.main(["0.2.0", "--check"]) == 0
        assert "Nothing stands in the way of release 0.2.0." in capsys.readouterr().out
        assert git("tag", "--list") == ""

    @pytest.mark.parametrize("version", ["", "0.2", "v0.2.0", "0.2.0rc1", "0.02.0"])
    def test_what_is_no_version(self, version):
        assert refused(version, "VERSION must be three numbers as in 0.2.0")

    @pytest.mark.parametrize("version", ["0.1.0", "0.0.9"])
    def test_a_version_that_is_not_greater_than_the_written_one(self, version):
        assert refused(version, "not greater than 0.1.0", "src/helpers/__init__.py", "choose a greater")

    def test_a_version_that_is_not_greater_than_a_tag(self):
        for tag in ("v0.9.0", "v0.10.0", "voyage"):
            git("tag", tag)
        assert refused("0.9.1", "not greater than 0.10.0")

    def test_a_changed_and_a_new_file(self):
        write("constraints.txt", "nothing==1\n\n")
        store_outputs()
        commit()
        write("CITATION.cff", FILES["CITATION.cff"] + "\n")
        write("stray.txt", "")
        assert refused("0.2.0", "CITATION.cff, stray.txt are not committed", "git restore")

    def test_another_branch_than_main(self):
        git("switch", "--quiet", "--create", "draft")
        assert refused("0.2.0", "This is draft", "git switch main")
        git("switch", "--quiet", "--detach")
        assert refused("0.2.0", "This is no branch")

    def test_a_changelog_without_a_section(self):
        commit(**{"CHANGELOG.md": CHANGELOG.replace("[Unreleased]", "[Undone]")})
        assert refused("0.2.0", "CHANGELOG.md has no section '## [Unreleased]'")

    def test_a_changelog_with_an_empty_section(self):
        commit(**{"CHANGELOG.md": CHANGELOG.replace("- The first chapter.\n", "")})
        assert refused("0.2.0", "CHANGELOG.md says nothing under [Unreleased]")

    def test_a_changelog_that_has_the_version_already(self):
        commit(**{"CHANGELOG.md": CHANGELOG.replace("[0.1.0]", "[0.2.0]")})
        assert refused("0.2.0", "CHANGELOG.md has a section [0.2.0] already")

    def test_outputs_of_another_state(self):
        notebook = nbformat.read(sources.ROOT / NOTEBOOK, as_version=4)
        notebook.cells[1].source = "2"
        nbformat.write(notebook, sources.ROOT / NOTEBOOK)
        commit()
        assert refused("0.2.0", f"{NOTEBOOK} is stale", "make outputs")

    def test_nobody_to_release_it(self, monkeypatch, tmp_path):
        (tmp_path / "gitconfig").write_text("[user]\n  useConfigOnly = true\n")
        assert refused("0.2.0", "git config user.name")

    def test_all_complaints_come_at_once(self, capsys):
        write("stray.txt", "")
        git("switch", "--quiet", "--create", "draft")
        assert release.main(["0.1.0"]) == 1
        assert len(capsys.readouterr().err.splitlines()) == 3


class TestChangedResults:
    """A stored result or a model that changed since the last tag must be named in the changelog."""

    def changed(self, text):
        write("data/MANIFEST.json", text)
        store_outputs()
        commit()

    def test_before_the_first_tag_nothing_needs_a_line(self):
        self.changed(manifest(results__rebound="2"))
        assert released("0.2.0")

    @pytest.mark.parametrize(
        ("now", "name"),
        [
            (manifest(results__rebound="2"), "rebound"),
            (manifest(results__rebound="1", results__replay="1"), "replay"),
            (manifest(), "rebound"),
            (manifest(results__rebound="1", models__neox_1m__main__weights="1"), "neox-1m"),
        ],
        ids=["changed", "new", "gone", "model"],
    )
    def test_it_must_be_named(self, now, name):
        assert released("0.2.0")
        self.changed(now)
        note(f"Something about a {name}, but not as a name.")
        assert refused("0.3.0", "data/MANIFEST.json", f"{name} is other than in v0.2.0", f"`{name}`")
        note(f"Another `{name}`, for a reason.")
        assert released("0.3.0")

    def test_a_line_of_an_older_version_does_not_count(self):
        note("`rebound`, made again.")
        assert released("0.2.0")
        self.changed(manifest(results__rebound="2"))
        note("Other things.")
        assert refused("0.3.0", "rebound is other than in v0.2.0")

    def test_other_data_need_no_line(self):
        assert released("0.2.0")
        self.changed(json.dumps({"files": json.loads(manifest(results__rebound="1"))["files"] | {"hub.yaml": {}}}))
        note("Other things.")
        assert released("0.3.0")


class TestRelease:
    def test_main_has_the_version_the_date_and_the_tag(self, capsys):
        before = git("rev-parse", "HEAD")
        released("0.2.0")
        assert git("status", "--porcelain") == ""
        assert git("log", "-1", "--format=%s %P") == f"Release 0.2.0 {before}"
        assert git("branch", "--show-current") == "main"
        assert git("cat-file", "-t", "v0.2.0") == "tag"
        assert git("rev-parse", "v0.2.0^{commit}") == git("rev-parse", "main")
        assert git("diff", "--name-only", before).splitlines() == [
            "CHANGELOG.md",
            "CITATION.cff",
            "src/helpers/__init__.py",
        ]
        assert release.written_version() == "0.2.0"
        date = r"20\d\d-\d\d-\d\d"
        assert re.search(rf"\nversion: 0\.2\.0\ndate-released: {date}\nlicense:", release.read("CITATION.cff"))
        dated = rf"## \[Unreleased\]\n\n## \[0\.2\.0\] - {date}\n\n### Added\n\n- The first chapter\.\n\n## \[0\.1\.0\]"
        assert re.search(dated, release.read("CHANGELOG.md"))
        assert "\ngit push --atomic origin main v0.2.0 student\n" in capsys.readouterr().out

    def test_a_release_makes_no_output_stale(self):
        released("0.2.0")
        assert build.stale([sources.ROOT / NOTEBOOK]) == []

    def test_the_branch_student_has_neither_solutions_nor_the_history_of_main(self):
        released("0.2.0")
        assert git("rev-list", "--count", "student") == "1"
        assert git("rev-list", "student", "--not", "main") == git("rev-parse", "student")
        held = git("ls-tree", "-r", "--name-only", "student").splitlines()
        assert {NOTEBOOK, "README.md", "requirements.txt", "src/helpers/__init__.py", "CITATION.cff"} <= set(held)
        assert git("show", "student:CITATION.cff") == git("show", "main:CITATION.cff")  # of this release
        for name in held:
            assert "# solution" not in git("show", f"student:{name}")
        assert "def f(): ..." in git("show", f"student:{NOTEBOOK}")
        assert "of-a-teacher" not in git("show", f"student:{NOTEBOOK}")
        objects = git("rev-list", "--objects", "student").splitlines()
        source = git("rev-parse", f"main:{NOTEBOOK}")
        assert not any(line.startswith(source) for line in objects)

    def test_what_is_ignored_elsewhere_is_in_the_branch(self, monkeypatch):
        write(".git/info/exclude", "*.egg-info\n")
        real = edition.write

        def more(folder):
            real(folder)
            (folder / "kept.egg-info").write_text("")

        monkeypatch.setattr(edition, "write", more)
        released("0.2.0")
        assert "kept.egg-info" in git("ls-tree", "--name-only", "student").splitlines()

    def test_the_next_release_adds_a_commit_to_each_branch(self):
        released("0.2.0")
        first = git("rev-parse", "student")
        note("More.")
        released("0.3.0")
        assert git("rev-list", "student").splitlines()[1:] == [first]
        assert release.last_tag() == "v0.3.0"
        assert release.read("CITATION.cff").count("date-released") == 1

    def test_a_fresh_clone_goes_on_where_the_server_s_branch_is(self, tmp_path, monkeypatch):
        released("0.2.0")
        first = git("rev-parse", "student")
        subprocess.run(["git", "clone", "--quiet", str(sources.ROOT), str(tmp_path / "clone")], check=True)
        for module in (sources, edition):
            monkeypatch.setattr(module, "ROOT", tmp_path / "clone")
        note("More.")
        released("0.3.0")
        assert git("rev-list", "student").splitlines()[1:] == [first]

    @pytest.mark.parametrize("step", ["add", "write-tree", "commit-tree", "mktag", "update-ref"])
    @pytest.mark.parametrize("error", [KeyboardInterrupt, release.GitError("full")])
    def test_cut_off_anywhere_it_leaves_nothing(self, monkeypatch, capsys, step, error):
        before = git("for-each-ref")
        real = release.git

        def cut_off(command, *arguments, **rest):
            if command == step:
                raise error
            return real(command, *arguments, **rest)

        monkeypatch.setattr(release, "git", cut_off)
        assert release.main(["0.2.0"]) == 1
        said = "Interrupted: nothing has changed" if error is KeyboardInterrupt else "full"
        assert capsys.readouterr().err.startswith(said)
        assert (real("for-each-ref"), real("status", "--porcelain")) == (before, "")
        assert release.read("CHANGELOG.md") == CHANGELOG

    def test_a_branch_student_that_moved_meanwhile_stops_it(self, monkeypatch):
        released("0.2.0")
        note("More.")
        real = release.student_tree

        def meanwhile():
            git("branch", "--force", "student", "main")
            return real()

        monkeypatch.setattr(release, "student_tree", meanwhile)
        assert release.main(["0.3.0"]) == 1
        assert git("tag", "--list") == "v0.2.0"
        assert git("status", "--porcelain") == ""
        assert release.written_version() == "0.2.0"


class TestPublished:
    """What the workflow asks of the server after the push."""

    @pytest.fixture
    def server(self, tmp_path):
        git("init", "--quiet", "--bare", str(tmp_path / "server.git"))
        git("remote", "add", "origin", str(tmp_path / "server.git"))
        released("0.2.0")
        git("push", "--quiet", "--atomic", "origin", "main", "v0.2.0", "student")

    def test_all_agree(self, server, capsys):
        assert release.main(["0.2.0", "--published"]) == 0
        note("More.")
        released("0.3.0")
        git("push", "--quiet", "origin", "main", "student")
        git("switch", "--quiet", "--detach", "v0.2.0")
        assert release.published("0.2.0") == []  # also when a later release is there

    def test_the_student_branch_is_missing_or_older(self, server):
        git("push", "--quiet", "origin", "--delete", "student")
        assert "The branch student does not hold the student edition of v0.2.0" in release.published("0.2.0")[0]
        note("More.")
        git("push", "--quiet", "origin", "student")
        released("0.3.0")
        git("push", "--quiet", "origin", "main", "v0.3.0")
        assert release.published("0.3.0") == [
            "The branch student does not hold the student edition of v0.3.0: "
            "'git push origin student' from where 'make release' was run."
        ]

    def test_the_tag_is_not_on_main_or_not_of_this_version(self, server):
        note("More.")
        released("0.3.0")
        git("push", "--quiet", "origin", "student")
        assert release.published("0.3.0") == ["v0.3.0 is not on main: 'git push origin main'."]
        git("tag", "v0.4.0", "main")
        git("push", "--quiet", "origin", "main")
        assert "src/helpers/__init__.py says 0.3.0, the tag v0.4.0" in release.published("0.4.0")[0]


def test_the_citation_says_the_version(monkeypatch):
    monkeypatch.undo()
    assert re.findall(r"^version: (.*)$", release.read("CITATION.cff"), re.MULTILINE) == [helpers.__version__]
