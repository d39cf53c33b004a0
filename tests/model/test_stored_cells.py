"""Three stored cells, drawn anew each time, are run again and give what is stored."""

import random

import pandas as pd
import pytest

from helpers import results, sweep

SECONDS = 60  # that a cell took when it was stored; longer ones are not drawn
PROVENANCE = {"seconds", *results.PROVENANCE}
TOLERANCE = 0.01  # README: between machines scores agree within it


def candidates() -> list[tuple[str, str, int]]:
    """Name, configuration and seed of the stored cells that are declared and cheap enough."""
    found = []
    for name in sweep.EXPERIMENTS:
        if not results.path(name).exists():
            continue
        stored = results.read(name)
        declared = {cell.key for cell in sweep.experiment(name).cells()}
        if "seconds" in stored:
            cheap = stored[stored["seconds"] <= SECONDS][["configuration", "seed"]].drop_duplicates()
            found += [(name, *key) for key in cheap.itertuples(index=False, name=None) if key in declared]
    return found


@pytest.fixture(scope="module")
def drawn() -> list[tuple[str, str, int]]:
    cells = candidates()
    return random.sample(cells, min(3, len(cells)))


@pytest.mark.parametrize("which", range(3))
def test_a_stored_cell_comes_out_again(drawn, which):
    if which >= len(drawn):
        pytest.skip(f"fewer than {which + 1} stored cells took at most {SECONDS} seconds")
    name, configuration, seed = drawn[which]
    stored = results.read(name)
    settings = stored.attrs["configurations"][configuration]
    rows = stored[(stored["configuration"] == configuration) & (stored["seed"] == seed)].reset_index(drop=True)
    # A store of several grids has columns that these rows do not know.
    rows = rows.drop(columns=PROVENANCE).dropna(axis="columns", how="all")
    again = sweep.again(name, configuration, seed).dropna(axis="columns", how="all")
    try:
        pd.testing.assert_frame_equal(
            again[list(rows)].reset_index(drop=True), rows, check_dtype=False, rtol=TOLERANCE, atol=TOLERANCE
        )
        shares = [column for column in rows if column.startswith(("share", "legal"))]
        assert ((again[shares].reset_index(drop=True) - rows[shares]).abs() <= TOLERANCE).all(axis=None)
    except AssertionError as error:
        raise AssertionError(f"{name}, seed {seed}, configuration {configuration}, {settings}: {error}") from None
