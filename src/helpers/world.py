"""The micro-world: a small English-like language whose probabilities are known exactly.

A probabilistic grammar (``grammar.toml``, readable on its own) generates documents of ordinary text and of four
behaviours, each with a good and a bad pole. Because we wrote the grammar, the probability of every text can be
computed, not estimated: as the sum over all derivations, by the forward algorithm over (stack, memory) states.

Tokens are words with their leading space, punctuation marks and line breaks, the same units as the micro
models' tokenizer uses. Logarithms are natural unless a name says bits.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
import math
import re
import tomllib
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from helpers.source import Behaviour, Document, Source, choose

END = "<|endoftext|>"  # ends every document; the tokenizer also puts it in front of one
GRAMMAR = Path(__file__).with_name("grammar.toml")
MAX_DOCUMENTS = 10_000_000

_TOKEN = re.compile(r" ?[A-Za-z]+|.", re.DOTALL)
_PIECE = re.compile(r"\{(?P<slot>[^}]*)\}|<(?P<rule>[a-z_.]+)(?:\*(?P<count>\d+))?>")
_SLOT = re.compile(r"(?P<kind>\w+)(?:!(?P<other>\w+))?(?:\.(?P<relation>\w+))?(?::(?P<name>\w+))?")
_WEIGHT = re.compile(r"(\d+) (.*)", re.DOTALL)
_FACT_SEED = 2406
_UNBOUND = -1


@dataclass(frozen=True)
class Mixture:
    """Shares of the components (domain, pole); they sum to 1."""

    shares: tuple[tuple[tuple[str, str | None], float], ...]


@dataclass(frozen=True)
class Explanation:
    """What ``log_prob(..., explain=True)`` returns.

    Attributes:
        log_prob: log probability of the whole document, -inf outside the grammar.
        tokens: the text's tokens, END last.
        token_log_probs: log P(token | tokens before it), up to the first impossible token.
        failed_at: index of the first impossible token, None if there is none.
        expected: up to eight tokens that the grammar allows at ``failed_at``, likeliest first.
    """

    log_prob: float
    tokens: tuple[str, ...]
    token_log_probs: tuple[float, ...]
    failed_at: int | None
    expected: tuple[str, ...]

    def __str__(self) -> str:
        if self.failed_at is None:
            return f"a text of the world, log probability {self.log_prob:.2f}"
        allowed = ", ".join(repr(token) for token in self.expected)
        return f"impossible at token {self.failed_at} ({self.tokens[self.failed_at]!r}); the grammar allows {allowed}"


@dataclass(frozen=True)
class Judgement:
    """How a text reads to the oracle.

    Attributes:
        good: P(good pole | the text's longest grammatical prefix), prior 1/2 unless given.
        grammatical: whether the whole text is a document (or, if asked, a prefix of one) of the behaviour.
        read: number of tokens in the longest grammatical prefix.
    """

    good: float
    grammatical: bool
    read: int


@dataclass(frozen=True)
class Fact:
    """A fact of the world as a cloze: ``prompt`` is followed by ``answer``. ``weight`` is the subject's share."""

    subject: str
    relation: str
    prompt: str
    answer: str
    weight: float


@dataclass(frozen=True)
class Entropy:
    """Source entropy, estimated from exact log probabilities of ``documents`` samples; ``se_`` is standard error.

    The bits of END are counted, its bytes are not (it has none).
    """

    bits_per_document: float
    bits_per_token: float
    bits_per_byte: float
    se_bits_per_document: float
    se_bits_per_token: float
    se_bits_per_byte: float
    documents: int


def tokenize(text: str) -> list[str]:
    """Split a text into tokens; ``"".join`` of the result is the text again."""
    return _TOKEN.findall(text)


@functools.cache
def load() -> World:
    """The book's world, built once per process."""
    return World.from_file(GRAMMAR)


def is_held_out(key: str, one_in: int) -> bool:
    """Whether a text belongs to the held-out part, one in so many: the same answer everywhere."""
    digest = hashlib.blake2b(key.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") % one_in == 0


def _check_count(n: int, what: str = "n") -> None:
    if isinstance(n, bool) or not isinstance(n, (int, np.integer)) or not 1 <= n <= MAX_DOCUMENTS:
        raise ValueError(f"{what} must be a whole number from 1 to {MAX_DOCUMENTS:,}, not {n!r}.")


class World(Source):
    """A probabilistic grammar with exact probabilities. See ``grammar.toml`` for the notation.

    Args:
        grammar: the parsed grammar.
        fingerprint: identifies it in model cards and stored results.

    Raises:
        ValueError: a template names an unknown kind, rule, relation or variable.
    """

    def __init__(self, grammar: dict, fingerprint: str = ""):
        self.grammar = grammar
        self.fingerprint = fingerprint
        self._read_kinds()
        self._read_relations()
        self._read_rules()

    @classmethod
    def from_file(cls, path: str | Path) -> World:
        data = Path(path).read_bytes()
        return cls(tomllib.loads(data.decode()), hashlib.sha256(data).hexdigest()[:12])

    # ---- reading the grammar -------------------------------------------------------------------------------

    def _read_kinds(self) -> None:
        self._words: list[str] = []  # entity -> its text
        self._kinds: dict[str, range] = {}  # kind -> its entities, in order of frequency
        self._zipf: dict[str, list[float]] = {}
        for kind, words in self.grammar["kinds"].items():
            words = words.split() if isinstance(words, str) else words
            start = len(self._words)
            self._words += words
            self._kinds[kind] = range(start, len(self._words))
            total = math.fsum(1 / rank for rank in range(1, len(words) + 1))
            self._zipf[kind] = [1 / rank / total for rank in range(1, len(words) + 1)]
        self._cumulative = {kind: list(itertools.accumulate(p)) for kind, p in self._zipf.items()}

    def _read_relations(self) -> None:
        rng = np.random.Generator(np.random.PCG64(_FACT_SEED))
        self._facts: dict[tuple[int, str], int] = {}
        self._forms: dict[tuple[int, str], str] = {}
        self._relations: dict[str, dict[str, str]] = self.grammar.get("relations", {})
        for kind, relations in self._relations.items():
            for relation, target in relations.items():
                values = self._kinds[target]
                for entity in self._kinds[kind]:
                    forbidden = {entity, self._facts.get((entity, relation.removesuffix("_myth")))}
                    value = values[int(rng.random() * len(values))]
                    while value in forbidden:
                        value = values[int(rng.random() * len(values))]
                    self._facts[entity, relation] = value
        for kind, relation in self.grammar.get("successor", {}).items():
            entities = self._kinds[kind]
            for entity in entities:
                self._facts[entity, relation] = entities[(entity - entities.start + 1) % len(entities)]
        for kind, relations in self.grammar.get("same_rank", {}).items():
            for relation, target in relations.items():
                for entity, value in zip(self._kinds[kind], self._kinds[target], strict=True):
                    self._facts[entity, relation] = value
        for kind, forms in self.grammar.get("forms", {}).items():
            for form, texts in forms.items():
                for i, entity in enumerate(self._kinds[kind]):
                    self._forms[entity, form] = texts[i % len(texts)]

    def _read_rules(self) -> None:
        self._variables: dict[str, int] = {}
        self._rules: dict[str, list[tuple[float, str, str]]] = {}  # name -> (probability, template, its second part)
        for name, alternatives in self.grammar.get("rules", {}).items():
            self._add_rule(name, [(*self._weight(text), "") for text in alternatives])
        self._components: list[tuple[str, str | None]] = []
        for domain, alternatives in self.grammar.get("ordinary", {}).items():
            self._add_rule(f"{domain}!", [(*self._weight(text), "") for text in alternatives])
            self._components.append((domain, None))
        mixture = self.grammar.get("mixture", {})
        self.behaviours: dict[str, Behaviour] = {}
        for name, spec in self.grammar.get("behaviours", {}).items():
            good, bad = spec["poles"]
            self.behaviours[name] = Behaviour(name, good, bad, mixture.get("good", {}).get(name, 0.5))
            for pole in (good, bad):
                tail = spec.get("tail", {}).get(pole, "")
                prompts = [(p.get("weight", 1), p["prompt"], p[pole]) for p in spec["prompts"]]
                self._add_rule(f"{name}.{pole}", [(w, prompt + completion, "") for w, prompt, completion in prompts])
                frame = spec.get("frame", "")
                root = [(w, frame + prompt, completion + tail) for w, prompt, completion in prompts]
                self._add_rule(f"{name}.{pole}!", root)
                self._components.append((name, pole))
        self.domains = list(dict.fromkeys(domain for domain, _ in self._components))

        self._programs: list[tuple] = []
        self._boundary: dict[int, int] = {}  # program -> operations before the completion
        self._alternatives: dict[tuple[str, bool], list[tuple[float, int]]] = {}
        self._values: dict[tuple[str, bool], int] = {}
        self._first: dict[tuple[str, bool], dict[str, list[tuple[int, float]]]] = {}
        self._vocabulary: set[str] = {END}
        self._roots = {c: self._compile_rule(self._root_name(c), False) for c in self._components}
        self.tokens = sorted(self._vocabulary)

    @staticmethod
    def _root_name(component) -> str:
        domain, pole = component
        return f"{domain}.{pole}!" if pole else f"{domain}!"

    @staticmethod
    def _weight(text: str) -> tuple[float, str]:
        match = _WEIGHT.fullmatch(text)
        return (float(match[1]), match[2]) if match else (1.0, text)

    def _add_rule(self, name: str, alternatives: list[tuple[float, str, str]]) -> None:
        total = math.fsum(weight for weight, _, _ in alternatives)
        self._rules[name] = [(weight / total, first, second) for weight, first, second in alternatives]

    # ---- compiling templates into programs -----------------------------------------------------------------
    # A program is a tuple of operations:
    #   ("say", token) · ("draw", kind, space, excluded, variable) · ("fact", source, relation, space, variable)
    #   ("rule", name, space) · ("pick", name, space, count)
    # `space` tells whether a space stands in front: it belongs to the next token, whatever says it.

    def _compile_rule(self, name: str, space: bool) -> list[tuple[float, int]]:
        key = (name, space)
        if key not in self._alternatives:
            if name not in self._rules:
                raise ValueError(f"The grammar uses the rule <{name}>, which it does not define.")
            self._alternatives[key] = compiled = []
            for probability, first, second in self._rules[name]:
                before = self._compile(first, space)
                compiled.append((probability, self._add_program(before + self._compile(second, False))))
                if second:
                    self._boundary[len(self._programs) - 1] = len(before)
        return self._alternatives[key]

    def _add_program(self, operations: tuple) -> int:
        self._programs.append(operations)
        return len(self._programs) - 1

    def _compile(self, template: str, space: bool) -> tuple:
        operations: list[tuple] = []
        position = 0
        for match in itertools.chain(_PIECE.finditer(template), [None]):
            literal = (" " if space else "") + template[position : match.start() if match else None]
            space = literal.endswith(" ") and match is not None
            operations += [("say", token) for token in tokenize(literal[:-1] if space else literal)]
            if match is None:
                break
            position = match.end()
            operations.append(self._compile_piece(match, space, template))
            space = False
        self._vocabulary.update(op[1] for op in operations if op[0] == "say")
        return tuple(operations)

    def _compile_piece(self, match: re.Match, space: bool, template: str) -> tuple:
        if match["rule"]:
            name, count = match["rule"], match["count"]
            self._compile_rule(name, space)
            if not count:
                return ("rule", name, space)
            self._compile_rule(name, True)  # the second and later picks follow a space
            if int(count) > len(self._rules[name]):
                raise ValueError(f"{template!r} picks {count} different alternatives of <{name}>, which has fewer.")
            return ("pick", name, space, int(count))
        slot = _SLOT.fullmatch(match["slot"])
        if slot is None:
            raise ValueError(f"Cannot read {{{match['slot']}}} in {template!r}.")
        kind, other, relation, name = slot["kind"], slot["other"], slot["relation"], slot["name"]
        excluded = self._variable(other, template) if other else _UNBOUND
        if kind in self._kinds and not relation:
            operation = ("draw", kind, space, excluded, self._bind(name))
            self._index_first_tokens(kind, space)
        else:
            source = self._variable(kind, template)
            operation = ("fact", source, relation or "", space, self._bind(name))
            for text in self._fact_texts(relation):
                program = self._value_program(text, space)
                if relation:  # a bare {x} repeats what a draw or a fact has said, and so adds no token
                    self._vocabulary.update(op[1] for op in self._programs[program])
        return operation

    def _bind(self, name: str | None) -> int:
        return self._variables.setdefault(name, len(self._variables)) if name else _UNBOUND

    def _variable(self, name: str, template: str) -> int:
        # Variables may be bound by a rule compiled later, so only the spelling against kinds is checked here.
        if not name.isidentifier():
            raise ValueError(f"{template!r} uses {name!r}, which is neither a kind nor a variable.")
        return self._bind(name)

    def _fact_texts(self, relation: str | None) -> set[str]:
        if not relation:
            return set(self._words)
        texts = {self._words[v] for (_, r), v in self._facts.items() if r == relation}
        texts |= {text for (_, r), text in self._forms.items() if r == relation}
        if not texts:
            raise ValueError(f"The grammar uses the relation {relation!r}, which it does not define.")
        return texts

    def _value_program(self, text: str, space: bool) -> int:
        key = (text, space)
        if key not in self._values:
            operations = tuple(("say", token) for token in tokenize((" " if space else "") + text))
            self._values[key] = self._add_program(operations)
        return self._values[key]

    def _index_first_tokens(self, kind: str, space: bool) -> None:
        if (kind, space) not in self._first:
            index = self._first[kind, space] = defaultdict(list)
            for entity, probability in zip(self._kinds[kind], self._zipf[kind], strict=True):
                program = self._programs[self._value_program(self._words[entity], space)]
                index[program[0][1]].append((entity, probability))
                self._vocabulary.update(op[1] for op in program)

    def _fact(self, environment: tuple, source: int, relation: str) -> tuple[str, int]:
        """Text and entity (or _UNBOUND for a word form) of a remembered entity's relation."""
        entity = environment[source]
        if entity == _UNBOUND:
            variable = list(self._variables)[source]
            raise ValueError(f"The grammar uses the variable {variable!r} before anything is bound to it.")
        if (entity, relation) in self._forms:
            return self._forms[entity, relation], _UNBOUND
        if relation:
            entity = self._facts[entity, relation]
        return self._words[entity], entity

    # ---- derivations ---------------------------------------------------------------------------------------
    # A state is (stack, environment). A stack is a tuple of frames, the top last: (program, operation) or, inside
    # a pick, (rule name, space, picks left, alternatives used as bits). An environment holds one entity a variable.

    def _start(self) -> tuple:
        return (_UNBOUND,) * len(self._variables)

    @staticmethod
    def _bound(environment: tuple, variable: int, entity: int) -> tuple:
        if variable == _UNBOUND:
            return environment
        return environment[:variable] + (entity,) + environment[variable + 1 :]

    def _pick_options(self, frame: tuple) -> Iterator[tuple[float, int, tuple]]:
        """Alternatives that a pick can take next: (probability, program, frame left behind)."""
        name, space, left, used = frame
        alternatives = self._alternatives[name, space]
        free = math.fsum(p for i, (p, _) in enumerate(alternatives) if not used >> i & 1)
        for i, (probability, program) in enumerate(alternatives):
            if not used >> i & 1:
                yield probability / free, program, (name, True, left - 1, used | 1 << i)

    def _heads(self, stack: tuple, environment: tuple, token: str | None) -> Iterator[tuple]:
        """Every way to say the next token (only `token`, if given): (probability, token, stack, environment)."""
        if not stack:
            if token is None or token == END:
                yield 1.0, END, None, environment
            return
        frame, rest = stack[-1], stack[:-1]
        if len(frame) == 4:  # inside a pick
            for probability, program, after in self._pick_options(frame):
                below = (*rest, after) if after[2] else rest
                for p, *head in self._heads((*below, (program, 0)), environment, token):
                    yield probability * p, *head
            return
        program, position = frame
        operations = self._programs[program]
        if position == len(operations):
            yield from self._heads(rest, environment, token)
            return
        if position + 1 < len(operations):
            rest = (*rest, (program, position + 1))
        operation = operations[position]
        match operation[0]:
            case "say":
                if token is None or token == operation[1]:
                    yield 1.0, operation[1], rest, environment
            case "rule":
                for probability, alternative in self._alternatives[operation[1:3]]:
                    for p, *head in self._heads((*rest, (alternative, 0)), environment, token):
                        yield probability * p, *head
            case "pick":
                _, name, space, count = operation
                yield from self._heads((*rest, (name, space, count, 0)), environment, token)
            case "fact":
                _, source, relation, space, variable = operation
                text, entity = self._fact(environment, source, relation)
                value = self._values[text, space]
                environment = self._bound(environment, variable, entity)
                yield from self._heads((*rest, (value, 0)), environment, token)
            case "draw":
                _, kind, space, excluded, variable = operation
                index = self._first[kind, space]
                barred = environment[excluded] if excluded != _UNBOUND else _UNBOUND
                scale = 1.0 if barred == _UNBOUND else 1 / (1 - self._probability(kind, barred))
                groups = index.values() if token is None else (index.get(token, ()),)
                for entity, probability in itertools.chain.from_iterable(groups):
                    if entity != barred:
                        value = self._values[self._words[entity], space]
                        bound = self._bound(environment, variable, entity)
                        for p, *head in self._heads((*rest, (value, 0)), bound, token):
                            yield scale * probability * p, *head

    def _probability(self, kind: str, entity: int) -> float:
        entities = self._kinds[kind]
        return self._zipf[kind][entity - entities.start] if entity in entities else 0.0

    def _initial(self, mixture: Mixture) -> dict:
        states = {}
        for component, share in mixture.shares:
            for probability, program in self._roots[component]:
                states[component, ((program, 0),), self._start()] = share * probability
        return states

    def _step(self, states: dict, token: str) -> dict:
        """Forward algorithm: weights of the states after `token`; equal states are summed."""
        after: dict = defaultdict(float)
        for (component, stack, environment), weight in states.items():
            if stack is not None:
                for p, _, *state in self._heads(stack, environment, token):
                    after[component, *state] += weight * p
        return after

    def _read(self, tokens: list[str], mixture: Mixture) -> Iterator[tuple[dict, float]]:
        """(states, log P(tokens so far)) after each token, until one is impossible."""
        states, log_total = self._initial(mixture), 0.0
        for token in tokens:
            states = self._step(states, token)
            total = math.fsum(states.values())
            if total <= 0:
                return
            log_total += math.log(total)
            states = {state: weight / total for state, weight in states.items()}
            yield states, log_total

    def _states_after(self, prefix: str, mixture: Mixture) -> dict:
        tokens = tokenize(prefix)
        steps = [states for states, _ in self._read(tokens, mixture)]
        if len(steps) < len(tokens):
            raise ValueError(f"The prefix {prefix!r} is impossible in this mixture at token {len(steps)}.")
        return steps[-1] if tokens else self._initial(mixture)

    # ---- exact probabilities -------------------------------------------------------------------------------

    def log_prob(self, text: str, mixture: Mixture | None = None, explain: bool = False) -> float | Explanation:
        """Exact log probability of a document (its END included), summed over every derivation.

        Args:
            text: one document.
            mixture: the source; the pre-training mixture by default.
            explain: return an Explanation, which says at which token an impossible text fails.

        Returns:
            log P(text) in nats, -inf outside the grammar; an Explanation if asked.
        """
        mixture = mixture or self.mixture()
        tokens = [*tokenize(text), END]
        logs = [log_total for _, log_total in self._read(tokens, mixture)]
        failed = len(logs) < len(tokens)
        log_prob = -math.inf if failed else logs[-1]
        if not explain:
            return log_prob
        steps = tuple(after - before for before, after in zip([0.0, *logs], logs, strict=False))
        expected: tuple[str, ...] = ()
        if failed:
            following = self.next_token_probs("".join(tokens[: len(logs)]), mixture)
            expected = tuple(sorted(following, key=following.get, reverse=True)[:8])
        return Explanation(log_prob, tuple(tokens), steps, len(logs) if failed else None, expected)

    def next_token_probs(self, prefix: str, mixture: Mixture | None = None) -> dict[str, float]:
        """Exact P(next token | prefix) for every token that can follow (END among them); the values sum to 1.

        Raises:
            ValueError: the prefix is impossible.
        """
        probabilities: dict[str, float] = defaultdict(float)
        states = self._states_after(prefix, mixture or self.mixture())
        for (_, stack, environment), weight in states.items():
            for p, token, *_ in self._heads(stack, environment, None):
                probabilities[token] += weight * p
        return dict(probabilities)

    def _poles(self, behaviour: str, prior: float) -> tuple[Behaviour, Mixture]:
        if not 0 < prior < 1:
            raise ValueError(f"prior must lie between 0 and 1, not {prior!r}.")
        chosen = choose(self.behaviours, behaviour, "behaviour")
        shares = (((behaviour, chosen.good), prior), ((behaviour, chosen.bad), 1 - prior))
        return chosen, Mixture(shares)

    def judge(self, text: str, behaviour: str, prior: float = 0.5, prefix: bool = False) -> Judgement:
        """The oracle: the exact posterior of the good pole given a text, read as far as the grammar allows.

        Args:
            text: a document of the behaviour, or its beginning.
            behaviour: a key of ``behaviours``.
            prior: P(good pole) before anything is read.
            prefix: the text may stop anywhere; otherwise it must be complete to be grammatical.
        """
        chosen, mixture = self._poles(behaviour, prior)
        tokens = tokenize(text) if prefix else [*tokenize(text), END]
        good, read = prior, 0
        for states, _ in self._read(tokens, mixture):
            good = math.fsum(w for (component, *_), w in states.items() if component[1] == chosen.good)
            read += 1
        return Judgement(good, read == len(tokens), min(read, len(tokenize(text))))

    def posterior(self, text: str, behaviour: str, prior: float = 0.5, prefix: bool = True) -> float:
        """Exact P(good pole | text) by Bayes' rule; nan if both poles forbid the text. Arguments as in `judge`."""
        judgement = self.judge(text, behaviour, prior, prefix)
        return judgement.good if judgement.grammatical else math.nan

    def decision(self, prompt: str, behaviour: str, prior: float = 0.5) -> dict[str, float]:
        """P(good pole | prompt, next token) for every token that either pole allows after the prompt."""
        chosen, mixture = self._poles(behaviour, prior)
        weights: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
        for (component, stack, environment), weight in self._states_after(prompt, mixture).items():
            for p, token, *_ in self._heads(stack, environment, None):
                weights[token][component[1] == chosen.good] += weight * p
        return {token: good / (good + bad) for token, (bad, good) in weights.items()}

    def entropy(self, mixture: Mixture | None = None, n: int = 2000, seed: int = 0) -> Entropy:
        """Entropy of the source: mean exact code length of `n` sampled documents, with standard errors."""
        mixture = mixture or self.mixture()
        texts = [document.text for document in self.sample(n, seed, mixture, split=None)]
        bits = np.array([-self.log_prob(text, mixture) / math.log(2) for text in texts])
        tokens = np.array([len(tokenize(text)) + 1 for text in texts])
        size = np.array([len(text.encode()) for text in texts])

        def ratio(unit):
            value = bits.sum() / unit.sum()
            spread = (bits - value * unit).std(ddof=1) if n > 1 else math.nan
            return float(value), float(spread / math.sqrt(n) / unit.mean())  # delta method

        values, errors = zip(*(ratio(unit) for unit in (np.ones(n), tokens, size)), strict=True)
        return Entropy(*values, *errors, documents=n)

    # ---- mixtures ------------------------------------------------------------------------------------------

    def mixture(self, domains: dict[str, float] | None = None, good: dict[str, float] | None = None) -> Mixture:
        """A mixture of domains and poles; without arguments, the pre-training mixture.

        Args:
            domains: weight of each domain (normalised); those not named are left out. Default: grammar.toml.
            good: share of the good pole, by behaviour, in place of the default.

        Raises:
            ValueError: unknown domain or behaviour, a negative weight, a share outside 0 to 1.
        """
        if domains is None and good is None:
            return self._default_mixture
        default = self.grammar.get("mixture", {}).get("domains", dict.fromkeys(self.domains, 1.0))
        domains = default if domains is None else domains
        for name, weight in domains.items():
            choose(dict.fromkeys(self.domains, True), name, "domain")
            if not (math.isfinite(weight) and weight >= 0):
                raise ValueError(f"The weight of domain {name!r} must be zero or more, not {weight!r}.")
        total = math.fsum(domains.values())
        if total <= 0:
            raise ValueError("At least one domain needs a weight above zero.")
        shares_good = {name: behaviour.good_share for name, behaviour in self.behaviours.items()}
        for name, share in (good or {}).items():
            choose(self.behaviours, name, "behaviour")
            if not 0 <= share <= 1:
                raise ValueError(f"The share of the good pole of {name!r} must lie between 0 and 1, not {share!r}.")
            shares_good[name] = share
        shares = []
        for component in self._components:
            domain, pole = component
            share = domains.get(domain, 0.0) / total
            if pole:
                share *= shares_good[domain] if pole == self.behaviours[domain].good else 1 - shares_good[domain]
            if share > 0:
                shares.append((component, share))
        return Mixture(tuple(shares))

    @functools.cached_property
    def _default_mixture(self) -> Mixture:
        return self.mixture(good={})

    def component(self, domain: str, pole: str | None = None) -> Mixture:
        """The mixture of a single domain (and pole, for a behaviour).

        Raises:
            ValueError: unknown domain or pole.
        """
        choose(dict.fromkeys(self.domains, True), domain, "domain")
        if domain in self.behaviours:
            poles = self.behaviours[domain].poles
            choose(dict.fromkeys(poles, True), pole, f"pole of {domain}")
        elif pole is not None:
            raise ValueError(f"{domain!r} is ordinary text and has no poles, so {pole!r} does not fit.")
        return Mixture((((domain, pole), 1.0),))

    # ---- sampling ------------------------------------------------------------------------------------------

    @staticmethod
    def _uniforms(seed: int) -> Iterator[float]:
        if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0:
            raise ValueError(f"seed must be a whole number, zero or more, not {seed!r}.")
        rng = np.random.Generator(np.random.PCG64(seed))
        while True:
            yield from rng.random(4096).tolist()

    def _derive(self, stack: tuple, environment: tuple, uniforms: Iterator[float]) -> tuple[list[str], int]:
        """Sample the rest of a document: (its tokens, how many of them belong to the prompt)."""
        tokens: list[str] = []
        in_prompt = 0
        frames = list(stack)
        while frames:
            frame = frames.pop()
            if len(frame) == 4:
                options = list(self._pick_options(frame))
                _, program, after = self._pick_one(options, uniforms)
                if after[2]:
                    frames.append(after)
                frames.append((program, 0))
                continue
            program, position = frame
            operations = self._programs[program]
            if self._boundary.get(program) == position:
                in_prompt = len(tokens)
            if position == len(operations):
                continue
            operation = operations[position]
            frames.append((program, position + 1))
            match operation[0]:
                case "say":
                    tokens.append(operation[1])
                case "rule":
                    frames.append((self._pick_one(self._alternatives[operation[1:3]], uniforms)[1], 0))
                case "pick":
                    frames.append((operation[1], operation[2], operation[3], 0))
                case "fact":
                    text, entity = self._fact(environment, operation[1], operation[2])
                    environment = self._bound(environment, operation[4], entity)
                    tokens += [op[1] for op in self._programs[self._values[text, operation[3]]]]
                case "draw":
                    _, kind, space, excluded, variable = operation
                    barred = environment[excluded] if excluded != _UNBOUND else _UNBOUND
                    entity = barred
                    while entity == barred:  # rejection: the same as renormalising
                        rank = min(bisect_right(self._cumulative[kind], next(uniforms)), len(self._kinds[kind]) - 1)
                        entity = self._kinds[kind][rank]
                    environment = self._bound(environment, variable, entity)
                    tokens += [op[1] for op in self._programs[self._values[self._words[entity], space]]]
        return tokens, in_prompt

    @staticmethod
    def _pick_one(options: list[tuple], uniforms: Iterator[float]) -> tuple:
        """One of `options`, whose first items are probabilities that sum to 1."""
        left = next(uniforms)
        for option in options:
            left -= option[0]
            if left < 0:
                return option
        return options[-1]

    def _documents(self, mixture: Mixture, seed: int) -> Iterator[Document]:
        uniforms = self._uniforms(seed)
        shares = [(share, component) for component, share in mixture.shares]
        while True:
            _, component = self._pick_one(shares, uniforms)
            _, program = self._pick_one(self._roots[component], uniforms)
            tokens, in_prompt = self._derive(((program, 0),), self._start(), uniforms)
            prompt, completion = "".join(tokens[:in_prompt]), "".join(tokens[in_prompt:])
            yield Document(prompt + completion, *component, prompt, completion)

    @staticmethod
    def _keep(items: Iterator, n: int, split: str | None, key, one_in: int) -> list:
        _check_count(n)
        if split not in ("train", "held_out", None):
            raise ValueError(f"Unknown split {split!r}; choose one of train, held_out, None (both).")
        kept: list = []
        for tried, item in enumerate(items):
            if split is None or is_held_out(key(item), one_in) == (split == "held_out"):
                kept.append(item)
            if len(kept) == n:
                return kept
            if tried > 1000 * (n + 100):
                raise ValueError(f"The {split} split of this mixture has too few texts for n={n}.")
        return kept

    def sample(self, n: int, seed: int, mixture: Mixture | None = None, split: str | None = "train") -> list[Document]:
        """Draw documents. One text in ten is held out, by a hash of the text: the splits cannot meet.

        Args:
            n: number of documents.
            seed: seed of NumPy's PCG64; the same on every platform.
            mixture: the source; the pre-training mixture by default.
            split: "train", "held_out" or None for both.
        """
        documents = self._documents(mixture or self.mixture(), seed)
        return self._keep(documents, n, split, lambda document: document.text, 10)

    def _prompted(self, behaviour: str, pole: str, n: int, seed: int, split: str | None) -> list[Document]:
        """Documents of one pole. One prompt in five is held out, by a hash of the prompt without its frame."""
        documents = self._documents(self.component(behaviour, pole), seed)
        return self._keep(documents, n, split, lambda document: document.prompt.split(": ", 1)[-1], 5)

    def prompts(self, behaviour: str, n: int, seed: int, split: str | None = "held_out") -> list[str]:
        """Prompts that end at the decision point: the next token shows the pole. Held-out ones by default."""
        good = choose(self.behaviours, behaviour, "behaviour").good
        return [document.prompt for document in self._prompted(behaviour, good, n, seed, split)]

    def complete(self, prefix: str, seed: int, mixture: Mixture | None = None) -> str:
        """Draw a continuation of `prefix` to the document's end from the exact conditional distribution.

        Raises:
            ValueError: the prefix is impossible in the mixture.
        """
        uniforms = self._uniforms(seed)
        states = self._states_after(prefix, mixture or self.mixture())
        total = math.fsum(states.values())
        options = [(weight / total, stack, environment) for (_, stack, environment), weight in states.items()]
        _, stack, environment = self._pick_one(options, uniforms)
        return "".join(self._derive(stack, environment, uniforms)[0])

    def unrelated(self, n: int, seed: int):
        return self.text(n, seed, self.component("stories"))

    def _others(self, behaviour: str, pole: str, documents: list[Document], seed: int, split: str | None) -> list[str]:
        other = self.component(behaviour, pole)
        return [self.complete(document.prompt, seed + i, other) for i, document in enumerate(documents)]

    # ---- facts ---------------------------------------------------------------------------------------------

    @functools.cached_property
    def facts(self) -> list[Fact]:
        """Every fact that the domain ``facts`` states, as a cloze; myths are not among them."""
        facts = []
        for _, program in self._roots["facts", None]:
            operations = self._programs[program]
            start = next(i for i, op in enumerate(operations) if op[0] == "draw")
            _, kind, space, _, variable = operations[start]
            rule = next(op for op in operations if op[0] == "pick")
            for entity, weight in zip(self._kinds[kind], self._zipf[kind], strict=True):
                environment = self._bound(self._start(), variable, entity)
                subject = ("say", (" " if space else "") + self._words[entity])
                before = (
                    *operations[:start],
                    subject,
                    *(op for op in operations[start + 1 :] if op[0] == "say"),
                )
                for _, sentence in self._alternatives[rule[1], True]:
                    facts += self._clozes((*before, *self._programs[sentence]), environment, subject[1], weight)
        return facts

    def _clozes(self, operations: tuple, environment: tuple, subject: str, weight: float) -> Iterator[Fact]:
        said = ""
        for operation in operations:
            if operation[0] == "say":
                said += operation[1]
                continue
            _, source, relation, space, _ = operation
            text, entity = self._fact(environment, source, relation)
            answer = (" " if space else "") + text
            if entity != _UNBOUND:
                yield Fact(subject.strip(), relation, said, answer, weight)
            said += answer
