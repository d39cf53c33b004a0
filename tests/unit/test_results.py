"""Stored results: come back as they were, with where they came from; what is damaged or unknown is refused."""

import pandas as pd
import pytest

from helpers import models, results

SETTINGS = {"rate": 0.1}
ROWS = pd.DataFrame({"seed": [0, 1], "ratio": [-1.0, -1.1]})
TABLE = ROWS.assign(**results.provenance(SETTINGS))


def test_a_table_comes_back_with_its_settings_and_provenance(tmp_path):
    file = results.write("spring", TABLE, [SETTINGS], root=tmp_path)
    table = results.read("spring", root=tmp_path)
    assert file.name == "spring.parquet"
    assert table.equals(TABLE)
    assert set(table) == {*ROWS, *results.PROVENANCE}
    assert [table.attrs["configurations"][key] for key in table["configuration"]] == [SETTINGS, SETTINGS]
    assert list(tmp_path.rglob("*.partial")) == []


def test_other_settings_have_another_hash():
    assert len({results.digest({"rate": rate, "n": 1}) for rate in (0.1, 0.2, 0.1)}) == 2
    assert results.digest({"a": 1, "b": 2}) == results.digest({"b": 2, "a": 1})


def test_a_damaged_file_is_refused_by_name(tmp_path):
    file = results.write("spring", TABLE, [SETTINGS], root=tmp_path)
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(ValueError, match=r"spring.parquet is damaged .*restore it"):
        results.read("spring", root=tmp_path)


def test_storing_one_table_does_not_bless_damage_to_another(tmp_path):
    file = results.write("spring", TABLE, [SETTINGS], root=tmp_path)
    file.write_bytes(file.read_bytes()[:-1])
    results.write("other", TABLE, [SETTINGS], root=tmp_path)
    assert results.read("other", root=tmp_path).equals(TABLE)
    with pytest.raises(ValueError, match=r"spring.parquet is damaged"):
        results.read("spring", root=tmp_path)


def test_what_a_killed_process_left_is_never_listed_and_goes_with_the_next_table(tmp_path):
    left = tmp_path / "results/spring.123.partial"
    left.parent.mkdir()
    left.write_bytes(b"half a table")
    assert "partial" not in models.write_manifest(tmp_path).read_text()
    results.write("other", TABLE, [SETTINGS], root=tmp_path)
    assert not left.exists()


def test_an_unknown_name_is_refused(tmp_path):
    results.write("spring", TABLE, [SETTINGS], root=tmp_path)
    with pytest.raises(ValueError, match=r"sprang.parquet is not listed"):
        results.read("sprang", root=tmp_path)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (TABLE[:0], "'spring' has no rows"),
        (TABLE.drop(columns="seed"), "'spring' lacks the column 'seed'"),
        (ROWS, "'spring' lacks the column 'configuration': rows of unknown origin are no result"),
        (
            ROWS.assign(**results.provenance({"rate": 0.2})),
            "rows of the configuration [0-9a-f]{12}, which was not given",
        ),
    ],
)
def test_rows_of_unknown_origin_are_no_result(tmp_path, table, message):
    with pytest.raises(ValueError, match=message):
        results.write("spring", table, [SETTINGS], root=tmp_path)
    assert not list(tmp_path.rglob("*.parquet"))
