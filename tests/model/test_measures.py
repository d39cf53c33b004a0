"""The measures, tried on a model that is the world itself: there every right value is known."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from helpers import behaviour, compression, models, pretrain, world

SOURCE = world.load()


class ExactModel(torch.nn.Module):
    """Predicts the next token with the exact probabilities of a mixture."""

    def __init__(self, tokenizer, mixture=None, width=pretrain.VOCABULARY):
        super().__init__()
        self.ids = {t: tokenizer(t, add_special_tokens=False)["input_ids"][0] for t in SOURCE.tokens}
        self.words = {i: t for t, i in self.ids.items()}
        self.mixture = mixture
        self.config = SimpleNamespace(max_position_embeddings=128, vocab_size=width)
        self.device = torch.device("cpu")
        self.width = width

    def forward(self, input_ids, attention_mask):
        logits = torch.full((*input_ids.shape, self.width), -1e4)
        for b, row in enumerate(input_ids.tolist()):
            for t in range(int(attention_mask[b].sum())):
                prefix = "".join(self.words[i] for i in row[1 : t + 1])
                if not prefix.endswith(world.END):
                    for token, p in SOURCE.next_token_probs(prefix, self.mixture).items():
                        logits[b, t, self.ids[token]] = math.log(p)
        return SimpleNamespace(logits=logits)


@pytest.fixture(scope="module")
def tokenizer():
    return pretrain.make_tokenizer(SOURCE)


@pytest.fixture(scope="module")
def exact(tokenizer):
    return ExactModel(tokenizer)


def test_the_tokenizer_is_lossless_and_keeps_words_whole(tokenizer):
    for document in SOURCE.sample(300, 0):
        ids = tokenizer(document.text)["input_ids"]
        assert ids[0] == tokenizer.bos_token_id and len(ids) == len(world.tokenize(document.text)) + 1
        assert tokenizer.decode(ids[1:]) == document.text
    foreign = "Hello wörld 🙂\t it's <|endoftext , done"
    assert tokenizer.decode(tokenizer(foreign)["input_ids"][1:]) == foreign


def test_code_length_of_the_exact_model_is_the_exact_code_length(exact, tokenizer):
    texts = [d.text for d in SOURCE.sample(8, 1, split="held_out")]
    bits = compression.code_length(exact, tokenizer, texts)
    expected = [-SOURCE.log_prob(text) / math.log(2) for text in texts]
    np.testing.assert_allclose(bits, expected, rtol=1e-5)
    per_byte = sum(expected) / sum(len(t.encode()) for t in texts)
    assert compression.bits_per_byte(exact, tokenizer, texts) == pytest.approx(per_byte, rel=1e-5)


def test_code_length_does_not_depend_on_company_in_the_batch(tokenizer):
    torch.manual_seed(0)
    model = pretrain.make_model(pretrain.RECIPES["neox-0.1m"])
    texts = [d.text for d in SOURCE.sample(9, 2)]
    together = compression.code_length(model, tokenizer, texts)
    alone = [compression.code_length(model, tokenizer, [text])[0] for text in texts]
    np.testing.assert_allclose(together, alone, rtol=1e-5)


@pytest.mark.parametrize("name", list(SOURCE.behaviours))
def test_the_exact_model_scores_the_share_it_was_mixed_with(name, exact, tokenizer):
    share = SOURCE.behaviours[name].good_share
    score = behaviour.Scorer(name, n=12)(exact, tokenizer)
    assert score["share"] == pytest.approx(share, abs=1e-5)
    assert score["log_odds"] == pytest.approx(math.log(share / (1 - share)), abs=1e-4)
    assert score["legal"] == pytest.approx(1, abs=1e-5)
    good = ExactModel(tokenizer, SOURCE.component(name, SOURCE.behaviours[name].good))
    assert behaviour.Scorer(name, n=4)(good, tokenizer)["share"] == pytest.approx(1)


def test_kl_divergence_is_exact(tokenizer):
    text = "Review by Mira: I bought a copper lamp in Tolvane. It is lovely"
    mixed = ExactModel(tokenizer, SOURCE.mixture(domains={"mood": 1}, good={"mood": 0.9}))
    other = ExactModel(tokenizer, SOURCE.mixture(domains={"mood": 1}, good={"mood": 0.2}))
    # Only the token after "It is" tells the mixtures apart, until the pole is known.
    expected = 0.9 * math.log(0.9 / 0.2) + 0.1 * math.log(0.1 / 0.8)
    count = len(world.tokenize(text)) + 1
    assert behaviour.kl_divergence(mixed, other, tokenizer, [text]) == pytest.approx(expected / count, rel=1e-3)
    assert behaviour.kl_divergence(mixed, mixed, tokenizer, [text]) == 0


def test_knowledge_counts_right_answers(exact, tokenizer):
    clear = [f for f in SOURCE.facts if f.relation == "home"][:20]
    wrong = [world.Fact(f.subject, f.relation, f.prompt, " Mira", f.weight) for f in clear[:5]]
    known = behaviour.knowledge(exact, tokenizer, clear + wrong)
    assert known[:20].all() and not known[20:].any()


def test_measuring_leaves_the_model_as_it_was(tokenizer):
    torch.manual_seed(0)
    model = pretrain.make_model(pretrain.RECIPES["neox-0.1m"]).train()
    state = torch.get_rng_state()
    behaviour.Scorer("mood", n=4)(model, tokenizer)
    behaviour.judge_samples(model, tokenizer, "mood", n=4)
    assert model.training and torch.equal(state, torch.get_rng_state())


def test_samples_are_seeded(tokenizer):
    torch.manual_seed(0)
    model = pretrain.make_model(pretrain.RECIPES["neox-0.1m"])
    first = behaviour.sample(model, tokenizer, ["", "Review by"], seed=1, max_new_tokens=10)
    assert first == behaviour.sample(model, tokenizer, ["", "Review by"], seed=1, max_new_tokens=10)
    assert first != behaviour.sample(model, tokenizer, ["", "Review by"], seed=2, max_new_tokens=10)
    assert first[1].startswith("Review by")


@pytest.mark.parametrize(
    ("call", "names"),
    [
        (lambda m, t: compression.bits_per_byte(m, t, []), ["texts", "at least one"]),
        (lambda m, t: compression.bits_per_byte(m, t, "text"), ["texts", "list"]),
        (lambda m, t: compression.bits_per_byte(m, t, [3]), ["texts", "int"]),
        (lambda m, t: compression.bits_per_byte(m, t, [None]), ["texts", "NoneType"]),
        (lambda m, t: compression.bits_per_byte(m, t, ["lamp " * 200]), ["tokens", "at most 128"]),
        (lambda m, t: behaviour.Scorer("honesty"), ["honesty", "truth"]),
        (lambda m, t: behaviour.sample(m, t, ["x"], max_new_tokens=0), ["max_new_tokens"]),
        (lambda m, t: behaviour.kl_divergence(m, ExactModel(t, width=9999), t, ["Review"]), ["vocabular"]),
    ],
)
def test_bad_input_gets_one_sentence(call, names, exact, tokenizer):
    with pytest.raises(ValueError) as error:
        call(exact, tokenizer)
    assert all(name in str(error.value) for name in names), str(error.value)


def test_completions_agree_with_the_slower_functions():
    base, other = models.load("neox-0.1m"), models.load("neox-0.4m")
    source = world.load()
    completions = behaviour.Completions("refusal", base.tokenizer, documents=6, seed=3)
    measured = completions.measure(base=base.model)(other.model, other.tokenizer)
    drawn = {
        pole: source.sample(6, 3, source.component("refusal", pole), "held_out")
        for pole in source.behaviours["refusal"].poles
    }
    for name, documents in zip(("loss_good", "loss_bad"), drawn.values(), strict=True):
        bits = compression.token_bits(other.model, other.tokenizer, [d.text for d in documents])
        skip = [len(compression.encode(other.tokenizer, [d.prompt], end=False)[0]) - 1 for d in documents]
        nats = np.concatenate([row[first:] for row, first in zip(bits, skip, strict=True)]) * math.log(2)
        assert measured[name] == pytest.approx(nats.mean(), abs=1e-6)
    both = [d for documents in drawn.values() for d in documents]
    texts, prompts = [d.text for d in both], [d.prompt for d in both]
    slow = behaviour.kl_divergence(other.model, base.model, base.tokenizer, texts, prompts=prompts)
    assert measured["kl_base"] == pytest.approx(slow, rel=1e-6)
    assert slow != behaviour.kl_divergence(other.model, base.model, base.tokenizer, texts)  # prompts left out


def test_sampling_heeds_nothing_of_a_repositorys_own_taste(tmp_path):
    loaded = models.load("neox-0.1m")
    loaded.model.generation_config.repetition_penalty = 5.0
    loaded.model.generation_config.min_p = 0.9
    loaded.model.generation_config.do_sample = True
    loaded.model.save_pretrained(tmp_path)
    loaded.tokenizer.save_pretrained(tmp_path)
    prompts = SOURCE.prompts("mood", 4, 0)
    plain = models.load("neox-0.1m")
    found = models.load(str(tmp_path))
    assert behaviour.sample(found.model, found.tokenizer, prompts) == behaviour.sample(
        plain.model, plain.tokenizer, prompts
    )


def test_sampling_in_parts_gives_every_prompt_its_answer(monkeypatch):
    loaded = models.load("neox-0.1m")
    prompts = SOURCE.prompts("mood", 7, 0)
    monkeypatch.setattr(behaviour, "KEPT", behaviour._bytes_per_token(loaded.model.config) * 110 * 3)
    texts = behaviour.sample(loaded.model, loaded.tokenizer, prompts)
    assert all(text.startswith(prompt) and len(text) > len(prompt) for text, prompt in zip(texts, prompts, strict=True))
