"""What several tests read and none changes: made once."""

import pytest


@pytest.fixture(scope="session")
def repositories(tmp_path_factory):
    """Folder with every repository of the stand-in (stand_in_repositories.py)."""
    from stand_in_repositories import write_all

    folder = tmp_path_factory.mktemp("repositories")
    write_all(folder)
    return folder
