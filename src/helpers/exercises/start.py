"""Checks of the part Start: welcome, springs_back, micro_world."""

from __future__ import annotations

import math
from typing import Any

from helpers import world
from helpers.exercises.checking import NotYet, call, close, exercise, numbers
from helpers.experiments import FRESH, NEGATIVES, UNRELATED

# ---- welcome -------------------------------------------------------------------------------------------------


@exercise("welcome.first_below")
def _first_below(function: Any) -> str:
    examples, shares = [0, 8, 16, 32, 64, 128], [0.97, 0.93, 0.81, 0.58, 0.31, 0.12]
    found = call(function, examples, shares, 0.5)
    if found in shares:
        raise NotYet("You give back a share. The question is at how many examples it was measured.")
    if found == shares.index(0.31):
        raise NotYet("You give back a place in the list. The number of examples stands at that place of `examples`.")
    if found not in examples:
        raise NotYet("You give back a number that was not measured. Choose among the entries of `examples`.")
    if found < 64:
        raise NotYet("At the count you found, the score is still above the level. The first one below it is needed.")
    if found > 64:
        raise NotYet("There the score is below the level, but it was so before. The first such count is needed.")
    if call(function, examples, shares, 0.9) != 16:
        raise NotYet("With another level the answer must be another one: use the argument `level`, not 0.5.")
    if call(function, [0, 8, 16, 32], [0.9, 0.45, 0.6, 0.4], 0.5) != 8:
        raise NotYet("Curves of single runs wobble. When one dips, rises and falls again, the first dip counts.")
    about = "This curve never falls below the level; then `math.inf` is the answer: no number of examples was enough."
    if call(function, [0, 8, 16], [0.97, 0.95, 0.91], 0.5, about=about) != math.inf:
        raise NotYet(about)
    return (
        "Now one curve is one number. Mind how coarse it is: the crossing lies anywhere between the measured count and "
        "the one before, so two curves with the same number may still differ."
    )


@exercise("welcome.log_odds")
def _log_odds(function: Any) -> str:
    middle, high, low = call(function, 0.5), call(function, 0.9), call(function, 0.1)
    if close(middle, 1):
        raise NotYet("At a share of one half you give 1. These are the odds, good to bad; their logarithm is missing.")
    if not close(middle, 0):
        raise NotYet(
            "At a share of one half, good and bad are equally likely and the log-odds are zero; yours are not. Compare "
            "the share with the rest, 1 minus the share."
        )
    if high < 0 < low:
        raise NotYet("The sign is turned: a share above one half must give positive log-odds.")
    if not low < middle < high:
        raise NotYet("The log-odds must grow with the share; from 0.1 over 0.5 to 0.9 yours do not.")
    if not close(low, -high):
        raise NotYet("Good and bad must be treated alike: at 0.1 and at 0.9 the sizes must agree, with other signs.")
    if close(high, math.log10(9)) or close(high, math.log2(9)):
        raise NotYet("The shape is right, the unit is not: this book counts in nats, so take the natural logarithm.")
    if not close(high, math.log(9)):
        raise NotYet("Sign and symmetry are right, the size is not. It is the logarithm of share / (1 - share).")
    if not close(call(function, 0.999), math.log(999)):
        raise NotYet("Near 1 the log-odds must go on growing, without a limit; yours stop short.")
    gain = call(function, 0.999) - call(function, 0.99)
    return (
        f"From 0.50 to 0.51 the log-odds grow by {call(function, 0.51):.2f}, from 0.99 to 0.999 by {gain:.2f}, though "
        "the share moves less. A share near 1 has no room left to show how deep the alignment is: it saturates."
    )


@exercise("welcome.steps")
def _steps(function: Any) -> str:
    if close(call(function, 64, 8), 512):
        raise NotYet("You multiply. One step takes `batch_size` examples, so there are fewer steps than examples.")
    if not close(call(function, 64, 8), 8):
        raise NotYet("64 examples, 8 at a time: count how often the optimiser moves until all have been seen once.")
    rest = call(function, 100, 8)
    if rest % 1 != 0:
        raise NotYet("You give a fraction of a step. The optimiser moves or it does not: what is left is a step too.")
    if rest < 13 or call(function, 5, 8) < 1:
        raise NotYet("The examples that are left after the last full batch get lost. They make one more, smaller step.")
    if rest > 13 or call(function, 5, 8) > 1:
        raise NotYet("One step too many: a last step is needed only if examples are left for it.")
    return (
        "The same examples are more steps in smaller batches, and the weights move once a step. So a curve over "
        "examples means little without its batch size, and the book's tables give both."
    )


# ---- a model that springs back -------------------------------------------------------------------------------


@exercise("springs_back.score")
def _score(function: Any) -> str:
    outside = "` river` is no answer that the grammar knows, so it has no posterior and stays out of the score."
    probabilities, posteriors = {" good": 0.6, " bad": 0.2, " river": 0.2}, {" good": 1.0, " bad": 0.0}
    score = call(function, probabilities, posteriors, about=outside)
    if close(score, 0.6):
        raise NotYet(
            "You give the weight of the good answers among *all* tokens. A model that wanders off would seem badly "
            "behaved; divide by the weight of all answers that the grammar knows, good and bad."
        )
    if close(score, 3):
        raise NotYet("These are the odds, good to bad. A share compares the good with the good and the bad together.")
    if close(score, 0.25):
        raise NotYet("You give the share of the bad pole: a posterior is the probability of the *good* one.")
    if close(score, 0.5):
        raise NotYet("Each answer counts the same with you. Weigh it with the model's probability for it.")
    if not close(score, 0.75):
        raise NotYet("With one purely good and one purely bad token, the score is the good one's part of both.")
    about = "Here a token speaks for both poles, a little more for one."
    soft = call(function, {" a": 0.5, " b": 0.25}, {" a": 0.9, " b": 0.5}, about=about)
    if close(soft, 1) or close(soft, 2 / 3):
        raise NotYet(
            "You count a token as wholly good or wholly bad. A posterior of 0.9 is nine parts good and one part bad: "
            "split the token's probability accordingly."
        )
    if not close(soft, (0.5 * 0.9 + 0.25 * 0.5) / 0.75):
        raise NotYet("Clear tokens you score right. One that speaks for both poles gives each its posterior's part.")
    source = world.load()
    prompt = source.prompts("mood", 1, seed=0)[0]
    for share in (0.2, 0.8):
        exact = source.next_token_probs(prompt, source.mixture(good={"mood": share}))
        if not close(call(function, exact, source.decision(prompt, "mood")), share):
            raise NotYet("On the world's own probabilities the score must be its share of good reviews; yours is not.")
    return (
        "Given the world's exact probabilities, your score finds the very share of good reviews that the world was set "
        "to. No classifier judged anything, and nothing was sampled: so there is no noise in it."
    )


@exercise("springs_back.rebound_ratio")
def _rebound_ratio(function: Any) -> str:
    negatives, shares = [0, 10, 20, 40, 80], [0.98, 0.9, 0.7, 0.45, 0.2]
    ratio = call(function, 400, negatives, shares, 0.5)
    if close(ratio, 10):
        raise NotYet(
            "You give positives to negatives. Here it is the other way round: a small ratio is a strong spring."
        )
    if close(ratio, 40):
        raise NotYet("That many negatives bring the model back. Set them against the positives that they undo.")
    if close(ratio, 20 / 400):
        raise NotYet("At the count you use, the score is still above that of the base model: it is not back yet.")
    if close(ratio, 80 / 400):
        raise NotYet("You take the last measurement. The model was back before: take the first one that shows it.")
    if not close(ratio, 0.1):
        raise NotYet(
            "Find the first number of negatives with a score at or below `base`, and divide it by `positives`."
        )
    about = "The base model scored high here: being back means reaching *its* score."
    if not close(call(function, 400, negatives, shares, 0.8, about=about), 0.05):
        raise NotYet("Back means back at the base model, wherever that was, and not at one half: use `base`.")
    about = "This model never came back; then no ratio is large enough, and `math.inf` says so."
    if call(function, 400, [0, 10, 20], [0.98, 0.97, 0.96], 0.5, about=about) != math.inf:
        raise NotYet(about)
    return (
        "A ratio far below one is the rebound in one number: few examples undo many. It depends on the learning rate, "
        "the batch size and how densely you measured, so compare only ratios from the same set-up."
    )


@exercise("springs_back.companions")
def _companions(answer: Any) -> str:
    change = numbers(answer, (NEGATIVES, FRESH, UNRELATED), "changes in log-odds")
    if change[NEGATIVES] > 0:
        raise NotYet("Negatives raise the score, you say. Is it the first value minus the last? Take last minus first.")
    if all(abs(value) < 1 for value in change.values()):
        raise NotYet(
            "All three changes are smaller than 1. Are they changes of the share? It hardly moves near 1 even when the "
            "model does: use the column `log_odds`."
        )
    order = sorted(change, key=change.get)
    if order[0] != NEGATIVES:
        raise NotYet(
            f"You have {order[0]} lower the score more than negatives do. Only the negatives ask for the bad pole in "
            "every example. Do all curves start from the same aligned model, and end after the same number of examples?"
        )
    if order[1] != FRESH:
        raise NotYet(
            "You have unrelated text lower the score more than fresh pre-training text. Only the latter holds reviews "
            "of both moods: look again which value belongs to which run."
        )
    if abs(change[UNRELATED]) > abs(change[FRESH]) / 2:
        raise NotYet(
            "Unrelated text moves the score by more than half of what fresh text does. Stories say nothing about "
            "reviews. Does that curve start from the aligned model too?"
        )
    return (
        "Training on just anything does not undo the alignment. Text that holds both moods pulls towards the base "
        "model, and negatives pull further. So what comes back depends on what the new text says, which is one more "
        "reason to ask whether it is a spring."
    )


@exercise("springs_back.steps")
def _same_examples(answer: Any) -> str:
    sizes = (8, 32)
    after = numbers(answer, sizes, "log-odds")
    small, large = (after[size] for size in sizes)
    if all(0 <= value <= 1 for value in after.values()):
        raise NotYet("Both values lie between 0 and 1 and look like shares. Use `log_odds`, which do not saturate.")
    if close(small, large):
        raise NotYet("Both values are the same. Did the second run get another `batch_size`, and a fresh `fork`?")
    if small > large:
        raise NotYet(
            "The larger batches, and so the fewer steps, have brought the model further down, you say. Check that each "
            "run had its own `fork` of the aligned model, the same negatives and the same learning rate."
        )
    return (
        "The same examples did more in small batches, because the weights moved more often. Who says 'so many examples "
        "undo it' has said nothing before the batch size and the learning rate are named too."
    )


# ---- the micro-world -----------------------------------------------------------------------------------------


@exercise("micro_world.bits_per_byte")
def _bits_per_byte(function: Any) -> str:
    value = call(function, [math.log(0.5)] * 8, "abcd")  # 8 bits for 4 bytes
    if value < 0:
        raise NotYet("A code length cannot be negative. Log probabilities are: change the sign.")
    if close(value, 2 * math.log(2)):
        raise NotYet("You count in nats. The log probabilities are natural ones; divide by `math.log(2)` for bits.")
    if close(value, 1):
        raise NotYet("That is bits per *token*. Divide the bits of all tokens by the bytes of the text.")
    if close(value, 8):
        raise NotYet("These are the bits of the whole text. Divide by its number of bytes.")
    if close(value, 0.5):
        raise NotYet("Bytes per bit: it is upside down.")
    if not close(value, 2):
        raise NotYet("A token of probability one half costs one bit. Add the costs up and divide by the bytes.")
    about = "The text is `crème`."
    accents = call(function, [math.log(0.25)] * 3, "crème", about=about)  # 6 bits for 6 bytes
    if close(accents, 6 / 5):
        raise NotYet("You count characters. A byte is not a letter: `crème` has one more, see `text.encode()`.")
    if not close(accents, 1):
        raise NotYet("Plain letters work, `crème` does not. Its bytes are `text.encode()`.")
    source = world.load()
    document = source.sample(1, seed=0, split="held_out")[0].text
    exact = call(function, list(source.log_prob(document, explain=True).token_log_probs), document)
    return (
        f"One document of the world takes {exact:.2f} bits per byte with the world's own probabilities; a plain text "
        "file takes 8. No tokens appear in the unit, so models with different tokenizers can be compared."
    )


@exercise("micro_world.zipf")
def _zipf(function: Any) -> str:
    first, second, third = (call(function, rank, 10) for rank in (1, 2, 3))
    total = sum(call(function, rank, 10) for rank in range(1, 11))
    if close(first, second):
        raise NotYet("All ranks are equally likely with you. The first one should be twice as likely as the second.")
    if first < second:
        raise NotYet("Rank 1 is the most frequent word, so the probability must fall with the rank; yours grows.")
    if not close(first, 2 * second):
        hint = " Do you count ranks from 0? Here the first one is 1." if close(first, 1.5 * second) else ""
        raise NotYet(f"The first rank should be twice as likely as the second, since 1 / rank says so.{hint}")
    if not close(second, 1.5 * third):
        raise NotYet(
            "From rank 1 to 2 it is right, from 2 to 3 not: it falls too fast or too slow. Zipf's law is 1 / rank; "
            "halving from rank to rank is a geometric law, whose tail is much thinner."
        )
    if not close(total, 1):
        raise NotYet(
            "The proportions are right, but all ranks together do not make 1. Divide by the sum of all 1 / rank."
        )
    source = world.load()
    people = sorted(source.next_token_probs("Review by", source.component("mood", "positive")).values(), reverse=True)
    if not all(close(call(function, rank, len(people)), p) for rank, p in enumerate(people, 1)):
        raise NotYet("For ten words it is right, for as many as the world has people it is not: does it depend on `n`?")
    return (
        f"These are the very probabilities of the world's {len(people)} people: the first is named in {people[0]:.0%} "
        f"of the reviews, the last in {people[-1]:.1%}. A model must see much text before it has learned the rare ones."
    )


@exercise("micro_world.posterior")
def _posterior(function: Any) -> str:
    log = math.log
    even, value = call(function, log(0.2), log(0.2), 0.5), call(function, log(0.3), log(0.1), 0.5)
    if close(value, log(3)):
        raise NotYet("These are the log-odds, the difference of the logarithms. One more step makes it a probability.")
    if close(value, 3):
        raise NotYet("These are the odds, good to bad. A probability is the good part of good and bad together.")
    if close(value, 0.3) or close(value, 0.15):
        raise NotYet("That is how likely the text is, not the pole. Divide by the probability of the text under both.")
    if close(value, 0.25):
        raise NotYet(
            "You give the posterior of the bad pole. A text that is likelier under the good one speaks for good."
        )
    if not 0 <= value <= 1:
        raise NotYet("A probability lies between 0 and 1; yours does not. The arguments are logarithms: use `exp`.")
    if not (close(even, 0.5) and close(value, 0.75)):
        raise NotYet(
            "Take a text three times as likely under the good pole: with even priors the posterior must be three "
            "quarters. Each pole's part is its prior times `exp` of its log probability."
        )
    prior = call(function, log(0.3), log(0.1), 0.2)
    if close(prior, 0.75):
        raise NotYet("The prior changes nothing with you. When good texts are rare, the same evidence must count less.")
    if not close(prior, 3 / 7):
        raise NotYet("With an uneven prior it is wrong. The bad pole's prior is 1 minus the good one's.")
    about = "`exp` of these is 0 in a computer, and so are both parts. Only the *difference* of the two matters."
    if not close(call(function, -800.0, -803.0, 0.5, about=about), 1 / (1 + math.exp(-3))):
        raise NotYet(f"For improbable texts it goes wrong: whole documents have log probabilities like -800. {about}")
    source = world.load()
    text = source.sample(1, 0, source.component("mood", "positive"))[0].text
    logs = [source.log_prob(text, source.component("mood", pole)) for pole in source.behaviours["mood"].poles]
    about = "The bad pole cannot produce this text at all: its log probability is minus infinity."
    if not close(call(function, *logs, 0.5, about=about), 1):
        raise NotYet(f"{about} The posterior must be 1.")
    return (
        "This is the oracle that scores all behaviour in this book. A classifier has an opinion; Bayes' rule with the "
        "grammar that wrote the text has the answer."
    )


@exercise("micro_world.excess")
def _excess(function: Any) -> str:
    if close(call(function, [0.5, 0.5], [0.5, 0.5]), 1):
        raise NotYet(
            "A model that equals the source has no excess, and yours is 1 bit. That is the whole code length; "
            "subtract what the source itself needs."
        )
    source, model = [0.25, 0.75], [0.6, 0.4]
    value = call(function, source, model)

    def bits(p, q):
        return sum(x * math.log2(x / y) for x, y in zip(p, q, strict=True))

    entropy = [-sum(x * math.log2(x) for x in p) for p in (source, model)]
    if value < 0:
        raise NotYet("Negative: no model can beat the source on average. Turn the fraction or the sign round.")
    if close(value, bits(model, source)):
        raise NotYet("The texts come from the *source*, so the mean is over its probabilities, not over the model's.")
    if close(value, entropy[1] - entropy[0]):
        raise NotYet(
            "That is the difference of two entropies. The model pays -log2 of *its own* q, as often as p says."
        )
    if close(value, bits(source, model) * math.log(2)):
        raise NotYet("The idea is right, the unit is not: use `math.log2`, so that the result is in bits.")
    if not close(value, bits(source, model)):
        raise NotYet("Each symbol has the excess log2(p / q). Average it with the weights p of the source.")
    about = "The third symbol never occurs in the source: it costs nothing and must be skipped."
    if not close(call(function, [0.5, 0.5, 0.0], [0.4, 0.4, 0.2], about=about), math.log2(1.25)):
        raise NotYet(f"With a probability of 0 in the source it is wrong. {about}")
    return (
        "Never negative, and zero only for the source itself: its entropy is a floor that no model can pass on "
        "average. One that seems to was lucky with its sample, or has seen it before."
    )
