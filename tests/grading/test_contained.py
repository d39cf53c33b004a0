"""Submissions of every kind in a real sandbox: each is graded as it deserves, and none reaches beyond it.

Where no sandbox can be made these tests are skipped; `make test` installs bubblewrap where that is easy.
"""

import hashlib
import os
import re
import socket
import subprocess
import time
from pathlib import Path

import grade
import psutil
import pytest
import sandbox

import helpers

IMPORT = "from helpers import exercises"
STEPS = "def steps(examples, batch_size):\n    return -(-examples // batch_size)"
CHECK = 'exercises.check("welcome.steps", steps)'
LOG_ODDS = "import math\ndef log_odds(share):\n    return math.log(share / (1 - share))"
CHECK_LOG_ODDS = 'exercises.check("welcome.log_odds", log_odds)'
RIGHT = (IMPORT, STEPS, CHECK)  # one point
SEND = """
import os
def send(data):
    for descriptor in range(3, 64):
        try: os.write(descriptor, data)
        except OSError: pass
"""


@pytest.fixture(scope="module", autouse=True)
def _a_sandbox():
    try:
        tried = subprocess.run([*sandbox.bubblewrap(), "true"], capture_output=True, text=True)
    except RuntimeError as problem:
        pytest.skip(str(problem))
    if tried.returncode:
        pytest.skip(f"bubblewrap does not work on this machine: {tried.stderr}")
    sandbox.try_out()  # what fails now is our own mistake


@pytest.fixture(autouse=True)
def _quickly(monkeypatch):
    monkeypatch.setattr(grade, "CALL_SECONDS", 1)
    monkeypatch.setattr(grade, "GRACE", 3)
    monkeypatch.setattr(sandbox, "CALL_SECONDS", 1)
    monkeypatch.setattr(sandbox, "GRACE", 3)


@pytest.fixture
def graded(submit, folder):
    """Grade a submission of some cells, beside another student's; nothing of it may be left, nor the other touched."""

    def run(*cells, seconds=60, **how):
        path = submit(*cells, **how.pop("written", {}))
        submit(*RIGHT, name="other.ipynb")
        before = digest(folder, Path(helpers.__file__).parent)
        running = {child.pid for child in psutil.Process().children(recursive=True)}
        result = grade.grade(path, "student.ipynb", seconds=seconds, **how)
        assert {child.pid for child in psutil.Process().children(recursive=True)} <= running
        assert digest(folder, Path(helpers.__file__).parent) == before
        return result

    return run


def digest(*folders):
    files = [path for folder in folders for path in sorted(folder.rglob("*")) if path.suffix in {".py", ".ipynb"}]
    return hashlib.sha256(b"".join(bytes(path) + path.read_bytes() for path in files)).hexdigest()


def verdict(result, name="steps"):
    return result.results[f"welcome.{name}"].verdict


# ---- honest ones ---------------------------------------------------------------------------------------------


def test_right(graded, source):
    result = graded(quick=True, written={"notebook": source})
    assert (result.points, len(result.results), result.notes) == (3, 3, [])


def test_unanswered(graded, student):
    result = graded(quick=True, written={"notebook": student})
    assert {each.verdict for each in result.results.values()} == {"Not answered yet"}
    assert result.notes == []


def test_wrong_is_explained_as_at_home(graded):
    fails = "def log_odds(share):\n    odds = share / (1 - share)\n    return odds + missing"
    result = graded(IMPORT, "def steps(n, size):\n    return n * size", CHECK, fails, CHECK_LOG_ODDS)
    assert "You multiply." in result.results["welcome.steps"].message
    message = result.results["welcome.log_odds"].message
    assert message == "`log_odds(0.5)` stopped in line 3 of its cell with NameError: name 'missing' is not defined."
    assert result.notes == ["It has no check of welcome.first_below."]


def test_a_crash_costs_what_depends_on_it(graded):
    result = graded("1 / 0", IMPORT, "syntax error", STEPS, CHECK, CHECK_LOG_ODDS, "import sys; sys.exit(3)")
    assert (result.points, verdict(result, "log_odds")) == (1, "Not answered yet")
    assert "cell 3 stopped with SyntaxError: invalid syntax" in result.notes[1]
    assert result.notes[:4] == [
        "cell 1 stopped with ZeroDivisionError: division by zero.",
        result.notes[1],
        "cell 6 stopped with NameError: name 'log_odds' is not defined.",
        "cell 7 stopped with SystemExit: 3.",
    ]


@pytest.mark.parametrize(
    ("cell", "death"),
    [
        ("import ctypes; ctypes.string_at(0)", r"SIGSEGV"),
        ("import os; os._exit(3)", r"exit 3"),
        ("import os; os.kill(os.getpid(), 9)", r"SIGKILL"),
    ],
)
def test_a_death_leaves_what_was_checked_before(graded, cell, death):
    result = graded(*RIGHT, cell, LOG_ODDS, CHECK_LOG_ODDS)
    assert (result.points, verdict(result)) == (1, "Right")
    assert re.search(rf"cell 4 ended its own process \(.*({death})", result.notes[0])


def test_it_can_kill_no_one_else(graded):
    result = graded(IMPORT, "import os\nos.kill(-1, 9)", STEPS, CHECK)
    assert result.points == 1 and "cell 2 stopped with ProcessLookupError" in result.notes[0]


# ---- endless ones --------------------------------------------------------------------------------------------


def test_an_endless_cell(graded):
    result = graded("while True: pass", *RIGHT, seconds=20)
    assert result.points == 1
    assert result.notes[0] == "cell 1 stopped with TimeoutError: not done after 10 s."


def test_an_endless_function(graded):
    result = graded(IMPORT, "def steps(n, size):\n    while True: pass", CHECK, LOG_ODDS, CHECK_LOG_ODDS)
    assert result.points == 1
    assert "stopped in line 2 of its cell with TimeoutError: not done after 1 s" in str(result.results)


STUBBORN = "import signal; signal.setitimer(signal.ITIMER_REAL, 0)\n    while True: pass"


def test_a_cell_that_will_not_end(graded):
    start = time.monotonic()
    result = graded(*RIGHT, "if True:\n    " + STUBBORN, CHECK, seconds=8)
    assert time.monotonic() - start < 20
    assert (result.points, result.notes[0]) == (1, "cell 4 did not finish in time; what came after it was not run.")


def test_a_function_that_will_not_end(graded):
    result = graded(IMPORT, "def steps(n, size):\n    " + STUBBORN, CHECK)
    assert result.results["welcome.steps"].verdict == "Not yet"
    assert "the submission did not finish in time" in result.results["welcome.steps"].message


# ---- greedy ones ---------------------------------------------------------------------------------------------


def test_memory_of_one_process(graded):
    result = graded("x = bytearray(6 * 2**30)", *RIGHT)
    assert result.points == 1 and "cell 1 stopped with MemoryError" in result.notes[0]


def test_memory_of_many_processes(graded, monkeypatch):
    monkeypatch.setattr(sandbox, "MEMORY", 2**30)
    many = """
import os, time
for _ in range(8):
    if not os.fork():
        x = b'1' * 2**28
        time.sleep(60)
time.sleep(60)
"""
    assert "took more than 1 GB of memory" in graded(*RIGHT, many).notes[0]


def test_memory_that_no_process_holds(graded, monkeypatch):
    monkeypatch.setattr(sandbox, "MEMORY", 2**30)
    hide = "import os\nwhile True:\n    os.write(os.memfd_create('x'), b'1' * 2**27)"
    assert "took more than 1 GB of memory" in graded(*RIGHT, hide).notes[0]


def test_a_fork_bomb(graded):
    before = len(psutil.pids())
    bomb = "import os, time\nwhile True:\n    try:\n        os.fork()\n    except OSError:\n        time.sleep(0.1)"
    result = graded(*RIGHT, bomb, seconds=10)
    assert result.points == 1
    assert len(psutil.pids()) < before + 100


def test_processes_are_few(graded):
    count = """
import os, time
n = 0
try:
    while n < 1000:
        if not os.fork():
            time.sleep(60)
        n += 1
except OSError:
    raise RuntimeError(f'{n} processes') from None
"""
    found = int(re.search(r"(\d+) processes", str(graded(count, *RIGHT).notes))[1])
    assert 10 < found < sandbox.PROCESSES


def test_disk(graded, monkeypatch):
    monkeypatch.setattr(sandbox, "DISK", 2**22)
    fill = """
import os
total = 0
for place in ('/tmp', '/dev/shm', '/dev', '/', '/var', os.path.expanduser('~'), '/proc', '/etc', '/usr'):
    try:
        for n in range(1000):
            with open(f'{place}/{n}', 'wb', buffering=0) as file:
                total += file.write(b'0' * 2**20)
    except OSError:
        pass
raise RuntimeError(f'{total // 2**20} MB')
"""
    result = graded(fill, *RIGHT)
    assert result.points == 1
    assert (
        int(re.search(r"RuntimeError: (\d+) MB", result.notes[0])[1]) <= 3 * 4
    )  # three places to write to, where it may fill what it was given


def test_printing_without_end(graded):
    result = graded(*RIGHT, "import os\nwhile True: print('x' * 10**6); os.write(2, b'y' * 10**6)", seconds=6)
    assert result.points == 1 and result.notes[0].startswith("cell 4 ")


# ---- malicious ones ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "cell",
    [
        "exercises.check = lambda *_: exercises.Result('Right', 'forged')",
        "exercises.Result.__init__ = lambda self, *_: self.__dict__.update(verdict='Right', message='forged')",
        "from helpers.exercises import checking\nchecking.RIGHT = checking.NOT_YET = checking.UNANSWERED = 'Right'",
        "exercises.CHECKS['welcome.steps'] = exercises.checking.CHECKS['welcome.steps'] = lambda _: 'forged'",
        'import json\njson.dumps = lambda _: \'{"verdict": "Right", "message": "forged"}\'',
        "import __main__\n__main__.encode = lambda *_: {'verdict': 'Right'}",
    ],
)
def test_patching_earns_nothing(graded, cell):
    result = graded(IMPORT, "def steps(n, size): ...", cell, CHECK)
    assert result.points == 0 and verdict(result) == "Not answered yet"


def test_numbers_and_arrays_that_lie(graded):
    lies = """
class Lies(float):
    __eq__ = __lt__ = __gt__ = __le__ = __ge__ = lambda self, other: True
    __hash__ = None
    __float__ = __rsub__ = __sub__ = lambda self, *other: 8.0
def steps(n, size):
    return Lies(512)
class Function:
    __name__ = 'f'
    __eq__ = lambda self, other: True
    def __call__(self, share):
        return Lies(0)
log_odds = Function()
"""
    result = graded(IMPORT, lies, CHECK, CHECK_LOG_ODDS)
    assert {verdict(result), verdict(result, "log_odds")} == {"Not yet"}
    assert "You multiply." in result.results["welcome.steps"].message


def test_forged_messages_on_every_descriptor_earn_nothing(graded):
    forged = SEND + (
        'send(b\'{"verdict": "Right", "message": "forged"}\\n\')\n'
        'send(b\'{"check": "welcome.steps", "answer": {"function": 0, "name": "steps"}, "verdict": "Right"}\\n\')'
    )
    result = graded(IMPORT, LOG_ODDS, CHECK_LOG_ODDS, forged)
    assert result.points == 1 and verdict(result) != "Right"
    assert "cell 4 sent the grader what is no message" in result.notes[0]


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ("b'[' * 10**7", "more than an answer can hold"),
        ("b'[' * 10**5 + b'\\n'", "what is no message"),
        ('b\'{"check": "welcome.log_odds", "answer": \' + b"[" * 900 + b"]" * 900 + b"}\\n"', "no answer|no message"),
        ('b\'{"check": "welcome.steps", "answer": \' + b"9" * 10**5 + b"}\\n"', "what is no message"),
        ("b'\\xff\\n'", "what is no message"),
    ],
)
def test_monstrous_messages_end_it(graded, data, told):
    result = graded(*RIGHT, SEND + f"send({data})")
    assert result.points == 1 and re.search(f"cell 4 sent the grader .*({told})", result.notes[0])


def test_a_flood_of_messages_ends_in_time(graded):
    start = time.monotonic()
    flood = SEND + 'while True: send(b\'{"check": "welcome.steps", "answer": 1}\\n\' * 100)'
    result = graded(*RIGHT, flood, seconds=8)
    assert time.monotonic() - start < 20
    assert re.search("did not finish in time|did not listen", result.notes[0])


def test_it_sees_no_solution_and_no_other_submission(graded):
    look = """
import os
found = []
for folder, _, files in os.walk('/'):
    if folder.startswith(('/proc', '/sys')):
        continue
    for name in files:
        path = os.path.join(folder, name)
        if not os.path.isfile(path):
            continue
        if 'exercises/checks/' in path or 'answers' in folder:
            found.append(path)
        elif name.endswith('.ipynb') and 'site-packages' not in path:
            found.append(path)
        elif name.endswith(('.py', '.md')) and os.path.getsize(path) < 2**20:
            try:
                if '\\n# solution\\n' in open(path).read(): found.append(path)
            except (OSError, ValueError):
                pass
raise RuntimeError(f'{len(found)} found {found[:3]}')
"""
    result = graded(IMPORT, look, *RIGHT)
    assert result.notes[0] == "cell 2 stopped with RuntimeError: 0 found [].", result.notes
    assert result.points == 1


def test_it_sees_no_other_process_no_secret_and_has_no_rights(graded, monkeypatch):
    monkeypatch.setenv("A_SECRET", "of the teacher")
    look = """
import os
pids = [p for p in os.listdir('/proc') if p.isdigit()]
rights = open('/proc/self/status').read().split('CapEff:')[1].split()[0]
privileges = open('/proc/self/status').read().split('NoNewPrivs:')[1].split()[0]
raise RuntimeError(f'{len(pids)} {"A_SECRET" in os.environ} {int(rights, 16)} {privileges} {os.getuid() == 0}')
"""
    assert graded(look, *RIGHT).notes[0] == "cell 1 stopped with RuntimeError: 2 False 0 1 False."


def test_all_of_this_machines_files_are_read_only(graded):
    look = """
mounts = [line.split() for line in open('/proc/mounts')]
raise RuntimeError(sorted(place for _, place, _, how, *_ in mounts if 'ro' not in how.split(',')))
"""
    told = graded(look, *RIGHT).notes[0]
    assert set(re.findall(r"'(/\w+(?:/shm)?)", told)) == {"/tmp", "/proc", "/dev", "/dev/shm"}, told
    assert not re.search("/dev'|usr|helpers|data|python", told)


def test_it_overwrites_nothing(graded):
    spoil = """
import os
done = []
for folder, _, files in os.walk('/'):
    if folder.startswith(('/proc', '/tmp/', '/dev')) and 'helpers' not in folder:
        continue
    for name in [*files, 'new']:
        path = os.path.join(folder, name)
        try:
            if os.path.realpath(path).startswith('/dev/'): continue
            if os.path.exists(path): os.chmod(path, 0o777)
        except OSError:
            pass
        try:
            open(path, 'ab').close()
            done.append(path)
        except OSError:
            pass
    if len(done) > 9: break
raise RuntimeError(f'{done}')
"""
    result = graded(spoil, *RIGHT)
    assert result.notes[0] == "cell 1 stopped with RuntimeError: ['/tmp/new']."
    assert result.points == 1


def test_it_reaches_no_network(graded):
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket(socket.AF_UNIX) as abstract:
        abstract.bind(f"\0springback-{os.getpid()}")
        abstract.listen()
        call = f"""
import socket
reached = []
try:
    socket.create_connection(('127.0.0.1', {server.getsockname()[1]}), 2); reached.append('loopback')
except OSError: pass
try:
    socket.create_connection(('1.1.1.1', 53), 2); reached.append('outside')
except OSError: pass
try:
    socket.socket(socket.AF_UNIX).connect('\\0springback-{os.getpid()}'); reached.append('abstract')
except OSError: pass
raise RuntimeError(f'{{reached}}')
"""
        assert graded(call, *RIGHT).notes[0] == "cell 1 stopped with RuntimeError: []."


# ---- a folder of them ----------------------------------------------------------------------------------------


def test_one_bad_submission_never_stops_the_rest(submit, folder, tmp_path, capsys):
    submit(*RIGHT, name="welcome/a.ipynb")
    submit("steps = __import__('os')._exit(1)", CHECK, name="welcome/b.ipynb")
    (folder / "welcome/c.ipynb").write_text("{")
    submit(*RIGHT, name="welcome/d.ipynb")
    to, back = tmp_path / "out/grades.csv", tmp_path / "back"
    for _ in range(2):
        assert grade.main([str(folder), "--to", str(to), "--feedback", str(back), "--quick"]) == 0
    rows = [row.split(",")[:3] for row in to.read_text().splitlines()]
    assert rows[0] == ["file", "points", "of"]
    assert rows[1:] == [
        ["welcome/a.ipynb", "1", "3"],
        ["welcome/b.ipynb", "0", "3"],
        ["welcome/c.ipynb", "0", "0"],
        ["welcome/d.ipynb", "1", "3"],
    ]
    assert "**welcome.steps: Right.**" in (back / "welcome/a.ipynb.md").read_text()
    assert "[4/4] welcome/d.ipynb  1 of 3" in capsys.readouterr().out
    assert os.listdir(to.parent) == ["grades.csv"]
