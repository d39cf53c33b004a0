"""The checks, one module a notebook; importing them registers them, in reading order."""

from importlib import import_module

_NOTEBOOKS = (
    "welcome",
    "springs_back",
    "micro_world",
    "prediction_is_compression",
    "token_trees",
    "mixtures",
    "elasticity_theorem",
    "theorem_and_practice",
    "rates_along_a_run",
    "resistance",
    "rebound",
    "model_size",
    "pretraining_volume",
    "verdict",
    "algorithms",
    "adapters",
    "controls",
    "defences",
    "on_real_models",
    "from_a_laptop_to_a_cluster",
)
for _notebook in _NOTEBOOKS:
    import_module(f"{__name__}.{_notebook}")
