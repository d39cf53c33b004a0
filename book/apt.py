"""Install a package of the system's where that is easy, as root on Debian: `python book/apt.py bubblewrap`."""

import os
import subprocess
import sys
from pathlib import Path


def install(package: str) -> None:
    """Elsewhere this does nothing; nor does it raise anything where it fails."""
    if hasattr(os, "geteuid") and os.geteuid() == 0 and Path("/etc/debian_version").exists():
        for command in (["update", "-qq"], ["install", "-y", "-qq", "--no-install-recommends", package]):
            print("apt-get", *command, flush=True)
            subprocess.run(["apt-get", *command], env=os.environ | {"DEBIAN_FRONTEND": "noninteractive"})


if __name__ == "__main__":
    install(sys.argv[1])
