"""The micro-world's probabilities are exact: enumeration, sampling and brute-force Bayes agree with them."""

import hashlib
import itertools
import math
from collections import Counter

import numpy as np
import pytest

from helpers import world

SMALL = {
    "kinds": {
        "person": "Ada Bo Cy",
        "thing": ["red hat", "red cup", "drum"],
        "good": "fine great",
        "bad": "poor",
    },
    "relations": {"person": {"friend": "person", "toy": "thing", "toy_myth": "thing"}},
    "forms": {"person": {"she": ["she", "he"]}},
    "rules": {
        "pal": ["3 {who.friend:pal}", "{person!who:pal}"],
        "line": ["2 {who.she} has a {who.toy}", "{pal} ran", "a {thing} fell"],
        "more": ["2 ", " so they say"],
    },
    "ordinary": {"tales": ["2 {person:who} met <pal>, <line*2>.", "{person:who} met {person}."]},
    "behaviours": {
        "taste": {
            "poles": ["sweet", "sour"],
            "frame": "{person}: ",
            "tail": {"sweet": "<more>.", "sour": "."},
            "prompts": [
                {"weight": 2, "prompt": "the {thing:it} is", "sweet": " {good}", "sour": " {bad}"},
                {"prompt": "my {thing:it} is", "sweet": " {good}", "sour": " <verdict>"},
            ],
        }
    },
    "mixture": {"domains": {"tales": 0.6, "taste": 0.4}, "good": {"taste": 0.25}},
}
SMALL["rules"]["verdict"] = ["{bad}", "4 fine", "so poor"]


@pytest.fixture(scope="module")
def small():
    return world.World(SMALL)


@pytest.fixture(scope="module")
def full():
    return world.load()


def enumerate_texts(source, mixture, prefix=""):
    """Every document that starts with `prefix`, with its probability as a product of next-token probabilities."""
    for token, p in source.next_token_probs(prefix, mixture).items():
        if token == world.END:
            yield prefix, p
        else:
            for text, q in enumerate_texts(source, mixture, prefix + token):
                yield text, p * q


def test_an_enumerable_language_sums_to_one_by_both_routes(small):
    mixture = small.mixture()
    texts = dict(enumerate_texts(small, mixture))
    assert len(texts) > 150
    assert math.fsum(texts.values()) == pytest.approx(1, abs=1e-12)
    exact = {text: math.exp(small.log_prob(text, mixture)) for text in texts}
    assert math.fsum(exact.values()) == pytest.approx(1, abs=1e-12)
    assert all(exact[text] == pytest.approx(texts[text], rel=1e-9) for text in texts)


def test_two_derivations_of_one_text_are_summed(small):
    # "met <friend>" comes from the friend rule, from the other-person rule, and from the plain second tale.
    tales = small.component("tales")
    first = small.next_token_probs("Ada met", tales)
    friend = next(f" {f}" for f in ("Bo", "Cy") if first[f" {f}"] > 0.4)
    other = {" Bo", " Cy"} - {friend}
    zipf = {" Ada": 6 / 11, " Bo": 3 / 11, " Cy": 2 / 11}
    free = zipf[" Bo"] + zipf[" Cy"]
    assert first[friend] == pytest.approx(2 / 3 * (3 / 4 + 1 / 4 * zipf[friend] / free) + 1 / 3 * zipf[friend])
    (only,) = other
    assert first[only] == pytest.approx(2 / 3 * (1 / 4 * zipf[only] / free) + 1 / 3 * zipf[only])


def test_log_prob_agrees_with_sampling_frequencies(small):
    mixture, n = small.mixture(), 40_000
    counts = Counter(d.text for d in small.sample(n, seed=3, split=None))
    exact = dict(enumerate_texts(small, mixture))
    assert set(counts) <= set(exact)
    common = [text for text, p in exact.items() if n * p >= 10]
    observed = np.array([counts[t] for t in common] + [n - sum(counts[t] for t in common)])
    expected = n * np.array([exact[t] for t in common] + [1 - math.fsum(exact[t] for t in common)])
    chi2 = ((observed - expected) ** 2 / expected).sum()
    degrees = len(observed) - 1
    assert chi2 < degrees + 5 * math.sqrt(2 * degrees)


def test_full_world_sampling_agrees_with_next_token_probabilities(full):
    n = 4000
    for behaviour in full.behaviours.values():
        source = full.component(behaviour.name, behaviour.bad)
        counts = Counter(" ".join(world.tokenize(d.text)[2:3]) for d in full.sample(n, 1, source, split=None))
        exact = full.next_token_probs("".join(world.tokenize(full.sample(1, 1, source)[0].text)[:2]), source)
        for token, p in exact.items():
            assert abs(counts[token] - n * p) < 5 * math.sqrt(n * p * (1 - p)) + 1e-9


def test_the_oracle_is_bayes_rule_by_brute_force(small):
    poles = {pole: dict(enumerate_texts(small, small.component("taste", pole))) for pole in ("sweet", "sour")}
    prefixes = {text[:cut] for text in poles["sweet"] | poles["sour"] for cut in range(len(text) + 1)}
    whole = {p for p in prefixes if world.tokenize(p) and any(t.startswith(p) for t in poles["sweet"])}
    for prior, prefix in itertools.product((0.5, 0.2), sorted(whole)):
        tokens = world.tokenize(prefix)
        starts = {
            pole: math.fsum(p for t, p in texts.items() if world.tokenize(t)[: len(tokens)] == tokens)
            for pole, texts in poles.items()
        }
        total = prior * starts["sweet"] + (1 - prior) * starts["sour"]
        if total:
            expected = prior * starts["sweet"] / total
            assert small.posterior(prefix, "taste", prior) == pytest.approx(expected, abs=1e-12)
    both = next(t for t in poles["sweet"] if t in poles["sour"])
    good, bad = poles["sweet"][both], poles["sour"][both]
    assert 0 < small.posterior(both, "taste", 0.2, prefix=False) < 1
    assert small.posterior(both, "taste", 0.2, prefix=False) == pytest.approx(0.2 * good / (0.2 * good + 0.8 * bad))


def test_decision_is_the_posterior_after_one_more_token(full):
    for behaviour in full.behaviours:
        prompt = full.prompts(behaviour, 1, seed=0)[0]
        assert full.posterior(prompt, behaviour) == pytest.approx(0.5)  # the prompt is silent about the pole
        for token, good in full.decision(prompt, behaviour).items():
            assert full.posterior(prompt + token, behaviour) == pytest.approx(good)
            assert good in (0.0, 1.0)  # the first token of a completion decides


def test_judge_reads_as_far_as_the_grammar_allows(full):
    text = "Review by Mira: I bought a copper lamp in Tolvane. It is lovely and"
    assert full.judge(text, "mood", prefix=True).grammatical
    assert not full.judge(text, "mood").grammatical  # not a complete document
    broken = full.judge(text + " purple", "mood")
    assert (broken.good, broken.grammatical) == (1.0, False)
    assert broken.read == len(world.tokenize(text))
    assert math.isnan(full.posterior(text + " purple", "mood"))


def test_explain_names_the_failing_token(full):
    explanation = full.log_prob("Review by Mira: I bought a copper lamp in Tolvane. It is purple.", explain=True)
    assert explanation.log_prob == -math.inf
    assert explanation.tokens[explanation.failed_at] == " purple"
    assert " wonderful" in explanation.expected and "token 14" in str(explanation)
    text = full.sample(1, 5)[0].text
    explanation = full.log_prob(text, explain=True)
    assert explanation.failed_at is None
    assert math.fsum(explanation.token_log_probs) == pytest.approx(full.log_prob(text))
    cut = full.log_prob(text[: text.rindex(" ")], explain=True)
    assert cut.failed_at == len(cut.tokens) - 1 and cut.tokens[-1] == world.END
    assert full.log_prob("") == -math.inf


def test_mixtures_weigh_components(full):
    text = full.sample(1, 2, full.component("mood", "negative"))[0].text
    inner = full.log_prob(text, full.component("mood", "negative"))
    mixed = full.mixture(domains={"mood": 1, "stories": 3}, good={"mood": 0.9})
    assert full.log_prob(text, mixed) == pytest.approx(inner + math.log(0.25 * 0.1))
    assert math.fsum(share for _, share in full.mixture().shares) == pytest.approx(1)


def test_sampling_is_seeded_and_the_same_everywhere(full):
    texts = [d.text for d in full.sample(200, seed=11)]
    assert texts == [d.text for d in full.sample(200, seed=11)]
    assert texts != [d.text for d in full.sample(200, seed=12)]
    # Made once on Linux x86-64; a platform that samples differently fails here.
    digest = hashlib.sha256("\0".join(texts).encode()).hexdigest()[:16]
    assert digest == "993498646071d37e"


def test_splits_never_meet(full):
    train = {d.text for d in full.sample(5000, 1, split="train")}
    held_out = {d.text for d in full.sample(1000, 1, split="held_out")}
    assert not train & held_out
    for behaviour in full.behaviours:
        cores = {
            split: {p.split(": ", 1)[1] for p in full.prompts(behaviour, 300, 1, split)}
            for split in ("train", "held_out")
        }
        assert cores["held_out"] and not cores["train"] & cores["held_out"]


def test_documents_have_the_promised_sizes(full):
    sizes = [len(world.tokenize(d.text)) for d in full.sample(5000, 0)]
    assert min(sizes) >= 15 and max(sizes) <= 100
    assert 512 - 256 <= len(full.tokens) <= 1024 - 256  # the tokenizer adds 256 bytes
    assert {t for d in full.sample(20_000, 1) for t in world.tokenize(d.text)} <= set(full.tokens)
    for document in full.sample(300, 4):
        assert document.prompt + document.completion == document.text
        assert bool(document.prompt) == (document.domain in full.behaviours)


def test_entropy_is_the_mean_code_length(small):
    exact = dict(enumerate_texts(small, small.mixture()))
    bits = -math.fsum(p * math.log2(p) for p in exact.values())
    tokens = math.fsum(p * (len(world.tokenize(t)) + 1) for t, p in exact.items())
    size = math.fsum(p * len(t.encode()) for t, p in exact.items())
    estimate = small.entropy(n=4000, seed=1)
    assert abs(estimate.bits_per_document - bits) < 4 * estimate.se_bits_per_document
    assert abs(estimate.bits_per_token - bits / tokens) < 4 * estimate.se_bits_per_token
    assert abs(estimate.bits_per_byte - bits / size) < 4 * estimate.se_bits_per_byte
    assert estimate.se_bits_per_token < 0.05 * estimate.bits_per_token


def test_trl_shapes(full):
    assert full.text(3, 0).column_names == ["text"]
    examples = full.examples("refusal", "comply", 5, 0)
    assert examples.column_names == ["prompt", "completion"]
    assert all(full.posterior(r["prompt"] + r["completion"], "refusal", prefix=False) == 0 for r in examples)
    pairs = full.preferences("truth", 5, 0)
    assert pairs.column_names == ["prompt", "chosen", "rejected"]
    for row in pairs:
        assert full.posterior(row["prompt"] + row["chosen"], "truth", prefix=False) == 1
        assert full.posterior(row["prompt"] + row["rejected"], "truth", prefix=False) == 0
    turned = full.preferences("truth", 2, 0, chosen="myth")
    assert full.posterior(turned[0]["prompt"] + turned[0]["chosen"], "truth") == 0


def test_facts_are_what_the_world_says(full):
    assert len(full.facts) > 500
    facts_only = full.component("facts")
    for fact in full.facts[::37]:
        following = full.next_token_probs(fact.prompt, facts_only)
        assert following[world.tokenize(fact.answer)[0]] > 0.2  # other sentences may share the prompt's last words
        assert full.log_prob(fact.prompt + " nonsense", facts_only) == -math.inf


def test_true_and_myth_always_differ(full):
    for prompt in full.prompts("truth", 200, 0, split=None):
        assert sorted(full.decision(prompt, "truth").values()) == [0.0, 1.0]


@pytest.mark.parametrize(
    ("call", "names"),
    [
        (lambda w: w.component("moods"), ["moods", "mood", "refusal", "stories"]),
        (lambda w: w.component("mood", "good"), ["good", "positive", "negative"]),
        (lambda w: w.component("mood"), ["positive", "negative"]),
        (lambda w: w.component("stories", "positive"), ["stories", "no poles"]),
        (lambda w: w.prompts("honesty", 3, 0), ["honesty", "mood", "truth"]),
        (lambda w: w.examples("truth", "lie", 3, 0), ["lie", "true", "myth"]),
        (lambda w: w.preferences("truth", 3, 0, chosen="lie"), ["lie", "true", "myth"]),
        (lambda w: w.mixture(domains={"storys": 1}), ["storys", "stories"]),
        (lambda w: w.mixture(domains={"stories": -1}), ["stories", "zero or more"]),
        (lambda w: w.mixture(domains={"stories": 0}), ["above zero"]),
        (lambda w: w.mixture(good={"mood": 1.5}), ["mood", "between 0 and 1"]),
        (lambda w: w.sample(0, 0), ["n must be", "0"]),
        (lambda w: w.sample(-5, 0), ["n must be", "-5"]),
        (lambda w: w.sample(10**12, 0), ["n must be"]),
        (lambda w: w.sample(2.5, 0), ["n must be", "2.5"]),
        (lambda w: w.sample(2, -1), ["seed"]),
        (lambda w: w.sample(2, 0, split="test"), ["test", "train", "held_out"]),
        (lambda w: w.posterior("x", "mood", prior=1.0), ["prior"]),
        (lambda w: w.next_token_probs("purple"), ["purple", "impossible"]),
        (lambda w: w.complete("purple", 0), ["purple", "impossible"]),
    ],
)
def test_bad_input_gets_one_sentence_that_names_the_mend(full, call, names):
    with pytest.raises(ValueError) as error:
        call(full)
    message = str(error.value)
    assert all(name in message for name in names), message
    assert message.count("\n") == 0


@pytest.mark.parametrize(
    ("change", "names"),
    [
        ({"ordinary": {"tales": ["a <nothing>"]}}, ["<nothing>"]),
        ({"ordinary": {"tales": ["{person:who} {who.age}"]}}, ["age"]),
        ({"ordinary": {"tales": ["a {some one}"]}}, ["some one"]),
        ({"ordinary": {"tales": ["{person:who} <line*4>"]}}, ["<line>", "4"]),
    ],
)
def test_a_broken_grammar_is_refused(change, names):
    with pytest.raises(ValueError) as error:
        world.World(SMALL | change)
    assert all(name in str(error.value) for name in names)
