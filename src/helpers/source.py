"""What an experiment asks of a source of text: examples of a behaviour's poles, and ordinary text beside them.

There are two: the micro-world (`helpers.world`) and data sets (`helpers.corpora`). Each says how documents are drawn;
here they become data sets in the shapes that TRL expects.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


def choose(options, name: str, what: str):
    """The option of that name.

    Raises:
        ValueError: there is none; the message lists those that there are.
    """
    if name not in options:
        raise ValueError(f"Unknown {what} {name!r}; choose one of {', '.join(map(str, options))}.")
    return options[name]


@dataclass(frozen=True)
class Behaviour:
    """One behaviour: its name, its good and bad pole, and the share of the good pole in its text."""

    name: str
    good: str
    bad: str
    good_share: float

    @property
    def poles(self) -> tuple[str, str]:
        return (self.good, self.bad)


@dataclass(frozen=True)
class Document:
    """One text. ``pole`` is None for ordinary text, and then ``prompt`` is empty."""

    text: str
    domain: str
    pole: str | None
    prompt: str
    completion: str


class Source(ABC):
    """Documents by seed: the same seed gives the same ones. Held-out prompts are never among those of "train"."""

    behaviours: Mapping[str, Behaviour]

    @abstractmethod
    def component(self, behaviour: str, pole: str) -> Any:
        """One pole alone, as `sample` takes it.

        Raises:
            ValueError: unknown behaviour or pole.
        """

    @abstractmethod
    def sample(self, n: int, seed: int, mixture: Any = None, split: str | None = "train") -> list[Document]:
        """Draw documents: of a component, or by default of all that a model is pre-trained on."""

    @abstractmethod
    def prompts(self, behaviour: str, n: int, seed: int, split: str | None = "held_out") -> list[str]:
        """Prompts that end where the behaviour shows. Held-out ones by default."""

    @abstractmethod
    def unrelated(self, n: int, seed: int):
        """Stories, which are about no behaviour: ``datasets.Dataset`` with the column ``text``."""

    @abstractmethod
    def _prompted(self, behaviour: str, pole: str, n: int, seed: int, split: str | None) -> list[Document]:
        """Documents of one pole, split by their prompts."""

    @abstractmethod
    def _others(self, behaviour: str, pole: str, documents: list[Document], seed: int, split: str | None) -> list[str]:
        """For each document a completion of the given other pole."""

    # ---- data sets in the shapes that TRL expects ----------------------------------------------------------

    def text(self, n: int, seed: int, mixture: Any = None, split: str | None = "train"):
        """Language-modelling data: ``datasets.Dataset`` with the column ``text``. Arguments as in `sample`."""
        from datasets import Dataset

        return Dataset.from_dict({"text": [document.text for document in self.sample(n, seed, mixture, split)]})

    def examples(self, behaviour: str, pole: str, n: int, seed: int, split: str | None = "train"):
        """One pole's examples: ``datasets.Dataset`` with ``prompt`` and ``completion``.

        The split goes by prompt, so that no held-out prompt is ever trained on.
        """
        from datasets import Dataset

        documents = self._prompted(behaviour, pole, n, seed, split)
        return Dataset.from_list([{"prompt": d.prompt, "completion": d.completion} for d in documents])

    def preferences(self, behaviour: str, n: int, seed: int, split: str | None = "train", chosen: str | None = None):
        """Preference pairs: ``datasets.Dataset`` with ``prompt``, ``chosen`` (good unless named), ``rejected``."""
        from datasets import Dataset

        chosen, rejected = self._two_poles(behaviour, chosen)
        documents = self._prompted(behaviour, chosen, n, seed, split)
        others = self._others(behaviour, rejected, documents, seed, split)
        return Dataset.from_list(
            [
                {"prompt": d.prompt, "chosen": d.completion, "rejected": other}
                for d, other in zip(documents, others, strict=True)
            ]
        )

    def labelled(self, behaviour: str, n: int, seed: int, split: str | None = "train", desirable: str | None = None):
        """Completions of both poles in turn: ``datasets.Dataset`` with ``prompt``, ``completion`` and ``label``.

        The label is True for the desirable pole, which is the good one unless named.
        """
        from datasets import Dataset

        poles = self._two_poles(behaviour, desirable)
        drawn = [self._prompted(behaviour, pole, -(-n // 2), seed, split) for pole in poles]
        rows = [(drawn[i % 2][i // 2], not i % 2) for i in range(n)]
        return Dataset.from_list([{"prompt": d.prompt, "completion": d.completion, "label": good} for d, good in rows])

    def _two_poles(self, behaviour: str, first: str | None) -> tuple[str, str]:
        """The pole named, by default the good one, and the other."""
        if first is not None:
            self.component(behaviour, first)
        poles = choose(self.behaviours, behaviour, "behaviour").poles
        return poles[::-1] if first == poles[1] else poles
