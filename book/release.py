"""Make a release: `make release VERSION=0.2.0`; `make release-check VERSION=0.2.0` only says whether one could be made.

A release is three things: a commit 'Release X' on main, which sets the version and dates the changelog; its tag vX; and
a commit on the branch `student`, which holds the student edition. That branch has no history of main, whose files hold
the solutions. Git takes all three at once or none. Nothing leaves this machine: the last line says how to publish it.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path, PurePosixPath

import build
import edition
import sources

BRANCH = "main"
VERSION = r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)"
CODE, CITATION, CHANGELOG, MANIFEST = "src/helpers/__init__.py", "CITATION.cff", "CHANGELOG.md", "data/MANIFEST.json"


class GitError(Exception):
    """What git said."""


def git(*arguments: str, text: str | None = None, **environment: str) -> str:
    """What a git command prints in the repository; `text` is its input.

    Raises:
        GitError: if it fails.
    """
    how = {"cwd": sources.ROOT, "env": os.environ | environment, "capture_output": True, "encoding": "utf-8"}
    done = subprocess.run(["git", *arguments], input=text, **how)
    if done.returncode:
        raise GitError(f"'git {' '.join(arguments)}' said: {done.stderr.strip()}")
    return done.stdout.rstrip()


def commit_of(*references: str) -> str | None:
    """The commit that the first of these references to exist points to."""
    for reference in references:
        try:
            return git("rev-parse", "--quiet", "--verify", f"{reference}^{{commit}}")
        except GitError:
            pass
    return None


def read(name: str) -> str:
    return (sources.ROOT / name).read_text("utf-8")


def number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def written_version() -> str:
    return re.search(r'^__version__ = "(.*)"$', read(CODE), re.MULTILINE)[1]


def last_tag() -> str | None:
    tags = [tag for tag in git("tag", "--list", "v*").splitlines() if re.fullmatch(f"v{VERSION}", tag)]
    return max(tags, key=lambda tag: number(tag[1:]), default=None)


def section(title: str) -> str | None:
    """What the changelog says under `## [title]`, up to the next heading of that rank."""
    found = re.search(rf"^## \[{re.escape(title)}\].*\n((?:(?!## ).*\n?)*)", read(CHANGELOG), re.MULTILINE)
    return found and found[1]


def changed_results() -> list[str]:
    """Names of the stored results and models that are new, other or gone since the last tag; none without a tag."""
    tag = last_tag()
    if not tag:
        return []
    before, now = json.loads(git("show", f"{tag}:{MANIFEST}"))["files"], json.loads(read(MANIFEST))["files"]
    names = set()
    for path in before.keys() | now.keys():
        kind, *rest = PurePosixPath(path).parts
        if kind in ("models", "results") and before.get(path, {}).get("sha256") != now.get(path, {}).get("sha256"):
            names.add(rest[0] if kind == "models" else PurePosixPath(path).stem)
    return sorted(names)


def named_in(text: str) -> set[str]:
    """The names between backticks, and those of files without folder and suffix."""
    spans = {PurePosixPath(span) for span in re.findall(r"`([^`\n]+)`", text)}
    return {span.name for span in spans} | {span.stem for span in spans}


def problems(version: str) -> list[str]:
    """What stands in the way of this release, a sentence each."""
    found = []
    last = max([written_version(), (last_tag() or "v0.0.0")[1:]], key=number)
    if not re.fullmatch(VERSION, version):
        found.append(f"VERSION must be three numbers as in 0.2.0, not {version!r}.")
    elif number(version) <= number(last):
        found.append(f"VERSION={version} is not greater than {last}, which {CODE} or a tag has: choose a greater one.")
    elif section(version) is not None:
        found.append(f"{CHANGELOG} has a section [{version}] already: move its lines under [Unreleased].")
    try:
        git("var", "GIT_COMMITTER_IDENT")
    except GitError:
        found.append("git does not know who you are: set 'git config user.name' and 'git config user.email'.")
    branch = git("branch", "--show-current") or "no branch"
    if branch != BRANCH:
        found.append(f"This is {branch}, and releases are made on {BRANCH}: 'git switch {BRANCH}' first.")
    dirty = [line[3:] for line in git("status", "--porcelain").splitlines()]
    if dirty:
        found.append(
            f"{_some(dirty)} not committed: commit, or put back what a release that was cut off has left, by "
            "'git restore --staged --worktree FILE'."
        )
    new = section("Unreleased")
    if new is None:
        found.append(f"{CHANGELOG} has no section '## [Unreleased]': write one that says what changed.")
    elif not re.search(r"^(?!#)\S", new, re.MULTILINE):
        found.append(f"{CHANGELOG} says nothing under [Unreleased]: write what changed since the last release.")
    unnamed = [name for name in changed_results() if name not in named_in(new or "")]
    if unnamed:
        found.append(
            f"data/MANIFEST.json: {_some(unnamed)} other than in {last_tag()}, and {CHANGELOG} does not say so: "
            f"name each under [Unreleased], between backticks (`{unnamed[0]}`)."
        )
    stale = build.stale([page for page in sources.pages() if page.suffix == ".ipynb"])
    if stale:
        found.append(f"{_some(stale)} stale, for the stored outputs are of another state: 'make outputs', then commit.")
    return found


def _some(names: list[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"{', '.join(names[:3])}{more} {'is' if len(names) == 1 else 'are'}"


def new_texts(version: str, today: str) -> dict[str, str]:
    """The files that say the version, as the release has them."""
    cited = f"version: {version}\ndate-released: {today}"
    return {
        CODE: re.sub(r"^__version__ = .*$", f'__version__ = "{version}"', read(CODE), flags=re.MULTILINE),
        CITATION: re.sub(r"^version: .*(\ndate-released: .*)?$", cited, read(CITATION), flags=re.MULTILINE),
        CHANGELOG: read(CHANGELOG).replace("## [Unreleased]", f"## [Unreleased]\n\n## [{version}] - {today}", 1),
    }


def student_tree() -> str:
    """Git's tree of the student edition of the working tree, made in an index of its own."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / edition.BRANCH
        edition.write(folder)
        own = {"GIT_INDEX_FILE": str(Path(place) / "index"), "GIT_WORK_TREE": str(folder)}
        own["GIT_DIR"] = git("rev-parse", "--absolute-git-dir")
        git("-C", str(folder), "add", "--all", "--force", ".", **own)  # whatever is ignored elsewhere
        return git("write-tree", **own)


def release(version: str, today: str) -> None:
    """Make the commits and the tag; if that fails or is interrupted, put everything back.

    Raises:
        GitError: if git refuses one of the steps.
    """
    local = commit_of(f"refs/heads/{edition.BRANCH}")
    parent = commit_of(f"refs/heads/{edition.BRANCH}", f"refs/remotes/origin/{edition.BRANCH}")
    texts = new_texts(version, today)
    try:
        for name, text in texts.items():
            (sources.ROOT / name).write_text(text, "utf-8")
        git("add", *texts)
        head = commit_of("HEAD")
        commit = git("commit-tree", git("write-tree"), "-p", head, "-m", f"Release {version}")
        line = ["-p", parent] if parent else []
        student = git("commit-tree", student_tree(), *line, "-m", f"Student edition of {version}")
        tagger = git("var", "GIT_COMMITTER_IDENT")
        tag = git("mktag", text=f"object {commit}\ntype commit\ntag v{version}\ntagger {tagger}\n\nRelease {version}\n")
        branch = f"refs/heads/{edition.BRANCH}"
        orders = [
            f"update refs/heads/{BRANCH} {commit} {head}",
            f"create refs/tags/v{version} {tag}",
            f"update {branch} {student} {local}" if local else f"create {branch} {student}",
        ]
        git("update-ref", "-m", f"release {version}", "--stdin", text="\n".join(orders) + "\n")
    except BaseException:
        if not commit_of(f"refs/tags/v{version}"):  # the references change last, and all at once
            git("restore", "--source=HEAD", "--staged", "--worktree", *texts)
        raise


def published(version: str) -> list[str]:
    """What does not agree between the tag, main and the branch `student` as the server has them, a sentence each."""
    found = []
    if written_version() != version:
        found.append(f"{CODE} says {written_version()}, the tag v{version}: push the tag that 'make release' made.")
    if commit_of("HEAD") != commit_of(f"refs/tags/v{version}"):
        found.append(f"What is checked out is not v{version}: 'git switch --detach v{version}' first.")
    if git("rev-list", "--count", f"v{version}", "--not", f"origin/{BRANCH}") != "0":
        found.append(f"v{version} is not on {BRANCH}: 'git push origin {BRANCH}'.")
    branch = commit_of(f"refs/remotes/origin/{edition.BRANCH}")
    if not branch or student_tree() not in git("log", "--format=%T", branch).splitlines():
        found.append(
            f"The branch {edition.BRANCH} does not hold the student edition of v{version}: "
            f"'git push origin {edition.BRANCH}' from where 'make release' was run."
        )
    return found


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("version", nargs="?", default="", help="as in 0.2.0")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--check", action="store_true", help="only say whether the release could be made")
    how.add_argument("--published", action="store_true", help="only say whether the server has all of this release")
    chosen = parser.parse_args(arguments)
    version = chosen.version
    try:
        found = published(version) if chosen.published else problems(version)
        if not found and not chosen.check and not chosen.published:
            release(version, datetime.date.today().isoformat())
    except (GitError, sources.BookError) as error:
        found = [str(error)]
    except KeyboardInterrupt:
        found = ["Interrupted: nothing has changed, unless 'git tag' shows the release's tag, and then all is done."]
    if found:
        print("\n".join(found), file=sys.stderr)
        return 1
    if chosen.published:
        print(f"{BRANCH}, v{version} and {edition.BRANCH} agree.")
    elif chosen.check:
        print(f"Nothing stands in the way of release {version}.")
    else:
        print(f"Release {version}: commits on {BRANCH} and {edition.BRANCH}, the tag v{version}. To publish it:")
        print(f"git push --atomic origin {BRANCH} v{version} {edition.BRANCH}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
