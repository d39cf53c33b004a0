"""Hatch build hook: a wheel carries data/ as helpers/_data, an editable install finds it in the repository."""

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class ShipData(BuildHookInterface):
    def initialize(self, version, build_data):
        if version == "standard":
            build_data["force_include"]["data"] = "helpers/_data"
