"""What every test runs under: no network, one thread, no progress bars, no deadline."""

import os

from hypothesis import settings

os.environ |= {
    "HF_HUB_OFFLINE": "1",
    "OMP_NUM_THREADS": "1",  # the same numbers everywhere
    "SPRINGBACK_PROGRESS": "off",
    "TOKENIZERS_PARALLELISM": "false",
}
settings.register_profile("book", deadline=None)  # a busy machine is no failure
settings.load_profile("book")
