"""What the notebooks store: outputs there, none of them an error. That they are right is nbval's part."""

import copy
import re

import build
import pytest
from metadata import metadata_of

CHAPTERS = [path for path in build.notebooks() if "chapters" in path.parts]


def cells_of(path, kind):
    return [cell for cell in build.read(path).cells if cell.cell_type == kind]


def outputs_of(path):
    return [output for cell in cells_of(path, "code") for output in cell.outputs]


@pytest.mark.parametrize("path", CHAPTERS, ids=build.name)
class TestNotebook:
    def test_every_cell_was_run_from_top_to_bottom(self, path):
        counts = [cell.execution_count for cell in cells_of(path, "code") if cell.source.strip()]
        assert counts == list(range(1, len(counts) + 1)), "run 'make outputs' and commit what it writes"

    def test_outputs_are_stored_and_none_is_an_error(self, path):
        outputs = outputs_of(path)
        assert outputs
        expected = [cell for cell in cells_of(path, "code") if "raises-exception" in cell.metadata.get("tags", [])]
        assert [output.ename for output in outputs if output.output_type == "error"] == [
            output.ename for cell in expected for output in cell.outputs if output.output_type == "error"
        ]
        assert not [output.text for output in outputs if output.get("name") == "stderr"]

    def test_a_compared_cell_has_something_to_compare(self, path):
        for cell in cells_of(path, "code"):
            if "nbval-check-output" in cell.metadata.get("tags", []):
                assert cell.outputs, cell.source

    def test_no_widget_state_and_no_path_of_a_machine_is_stored(self, path):
        notebook = build.read(path)
        assert notebook == build.without_widgets(copy.deepcopy(notebook))
        text = path.read_text("utf-8")
        assert not [place for place in ("/home/", "/root/", "/Users/", "/tmp/", "site-packages") if place in text]

    def test_every_figure_has_alt_text(self, path):
        for output in outputs_of(path):
            data = output.get("data", {})
            if build.PLOTLY_MIME in data:
                assert '<figure class="springback" aria-label="' in data.get("text/html", ""), (
                    "show figures with helpers.figures.present"
                )

    def test_it_says_when_it_was_run_and_what_its_head_says(self, path):
        stored = build.read(path).metadata["springback"]
        assert stored.items() >= metadata_of(path).items()
        assert re.fullmatch(r"\d{4}-\d\d-\d\d", stored["executed"])
        assert stored["seconds"] > 0

    def test_it_begins_with_a_title(self, path):
        assert cells_of(path, "markdown")[0].source.startswith("# ")
