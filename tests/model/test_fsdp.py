"""One model over two processes: the two listings of the chapter 'From a laptop to a cluster', as a reader runs them."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from helpers.models import data_root

ROOT = Path(__file__).parents[2]
CELLS = json.loads((ROOT / "chapters/real/from_a_laptop_to_a_cluster.ipynb").read_text())["cells"]
PAGE = "\n".join("".join(cell["source"]) for cell in CELLS if cell["cell_type"] == "markdown")
SCRIPT = re.search(r"```python\n(.*?)```", PAGE, re.DOTALL)[1]
COMMAND = re.search(r"\n(accelerate launch.*?)```", PAGE, re.DOTALL)[1].replace("\\\n", " ").split()


@pytest.mark.timeout(300)
def test_two_processes_with_half_of_the_model_each_give_the_numbers_of_one(tmp_path):
    (tmp_path / "large.py").write_text(SCRIPT)
    environment = os.environ | {"OMP_NUM_THREADS": "1", "SPRINGBACK_DATA": str(data_root())}

    def run(*command):
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return pd.read_csv(tmp_path / "rebound.csv"), done.stdout

    one, _ = run(sys.executable, "large.py")
    (tmp_path / "rebound.csv").unlink()
    assert COMMAND[-1] == "large.py" and COMMAND[0] == "accelerate"
    launch = [sys.executable, "-m", "accelerate.commands.accelerate_cli", *COMMAND[1:-1]]
    two, said = run(*launch, str(Path(__file__).with_name("fsdp_on_cpu.py")), "large.py")
    assert said.count("held 0.500 to 0.500") == 2
    assert set(one["positives"]) == {32, 64} and one["share"].max() - one["share"].min() > 0.3
    pd.testing.assert_frame_equal(two, one, rtol=0, atol=1e-4)
