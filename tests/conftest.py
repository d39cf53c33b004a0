"""What every test runs under: no network, one thread, no progress bars."""

import os

os.environ |= {
    "HF_HUB_OFFLINE": "1",
    "OMP_NUM_THREADS": "1",  # the same numbers everywhere
    "SPRINGBACK_PROGRESS": "off",
    "TOKENIZERS_PARALLELISM": "false",
}
