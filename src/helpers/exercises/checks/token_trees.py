"""Checks of the chapter: Token trees and the protocol."""

from __future__ import annotations

import math
from typing import Any

from helpers import token_tree
from helpers.exercises.checking import NotYet, call, close, exercise

_LEAVES = {("I", "would"): 0.375, ("I", "want"): 0.25, ("I",): 0.125, ("Go", "I"): 0.25}


@exercise("token_trees.node_weight")
def _node_weight(function: Any) -> str:
    ends = {(*path, "END"): weight for path, weight in _LEAVES.items()}
    root = call(function, ends, (), about="The empty path is the root: every response passes through it.")
    node = call(function, ends, ("I",))
    if close(node, 0.125) or node == 0:
        raise NotYet("You count only what *ends* right below the node. All that passes through it belongs to it.")
    if close(node, 3) or close(root, 4):
        raise NotYet("You count the leaves below the node. Add up their weights instead.")
    if close(node, 0.25):
        raise NotYet("You take the mean of the leaves below the node; they are to be added up.")
    if close(node, 1):
        raise NotYet("You also count 'Go I': the token occurs in it, but not at the place where the path says.")
    if not close(node, 0.75):
        raise NotYet("Below the node 'I' lie leaves of 0.375, 0.25 and 0.125, so it weighs 0.75. Yours does not.")
    if not close(root, 1):
        raise NotYet("The root is the path of no tokens: every response passes through it, so it weighs 1.")
    if not close(call(function, ends, ("I", "want")), 0.25):
        raise NotYet("One token deep you get right, two deep not: compare the *whole* path with the leaf's beginning.")
    if not close(call(function, ends, ("Go", "want")), 0):
        raise NotYet("No response goes through 'Go' and then 'want': compare *all* tokens of the path.")
    if not close(call(function, ends, ("I", "want", "END")), 0.25):
        raise NotYet("END is a token like any other: the path that ends with it leads to a leaf, and has its weight.")
    alike = {("ab", "c", "END"): 0.5, ("a", "bc", "END"): 0.5}
    if not close(call(function, alike, ("ab",), about="Two leaves whose letters agree."), 0.5):
        raise NotYet("Compare token by token, not letter by letter: 'ab' 'c' and 'a' 'bc' are different paths.")
    about = "Where no response passes, the weight is 0."
    if not close(call(function, ends, ("That",), about=about), 0):
        raise NotYet(about)
    return (
        "A node's weight over its parent's is the probability of the next token: "
        f"{call(function, ends, ('I', 'want')) / node:.2f} for 'want' behind 'I'. So to know all weights is to know "
        "all next-token probabilities: a tree and a language model are two ways to write down the same thing."
    )


@exercise("token_trees.mean_length")
def _mean_length(function: Any) -> str:
    halves, skewed = call(function, [0.5, 0.25, 0.25]), call(function, [0.6, 0.2, 0.1, 0.1])
    entropy = token_tree.entropy([0.6, 0.2, 0.1, 0.1])
    if close(halves, 5 / 3):
        raise NotYet("You take the plain mean of the words' lengths. A likely word is written more often: weigh it.")
    if close(skewed, entropy):
        raise NotYet("You give the entropy. Huffman's words have whole bits, so their mean is a little more.")
    if close(skewed, 0.6 * 1 + 0.2 * 3 + 0.1 * 4 + 0.1 * 4) and not close(call(function, [0.25] * 4), 2):
        raise NotYet("Put a merged weight back *among* the others, and look for the two smallest again.")
    if close(skewed, 0.6 * 1 + 0.2 * 3 + 0.1 * 4 + 0.1 * 4):
        raise NotYet("You round each ideal length up. That is a valid code, but Huffman's is shorter: merge instead.")
    if close(halves, 0.5) or close(halves, 1):
        raise NotYet("One merge is missing: go on until a single weight of 1 is left, and count that merge too.")
    if not close(halves, 1.5):
        raise NotYet("For 0.5, 0.25 and 0.25 the words have 1, 2 and 2 bits, on average 1.5. Yours do not.")
    if not close(skewed, 1.6):
        raise NotYet(
            "Do you merge the two *smallest* weights each time, the merged ones among them? 0.1 and 0.1 first."
        )
    if not close(call(function, [0.25] * 4), 2):
        raise NotYet("Put a merged weight back *among* the others: four quarters need 2 bits each, yours more or less.")
    low = [0.46, 0.18, 0.18, 0.14, 0.04]
    if not close(call(function, low), _mean(low)):
        raise NotYet("Small cases you get right; with 0.46, 0.18, 0.18, 0.14 and 0.04 yours is not what Huffman needs.")
    return (
        f"With the weights 0.46, 0.18, 0.18, 0.14 and 0.04 you get {call(function, low):.2f} bits, beyond the "
        f"entropy of {token_tree.entropy(low):.2f} *rounded up*. So the rounded entropy in theorem 3.4 is an estimate "
        "of what the code needs, and no bound. That the mean stays below entropy plus 1 is one."
    )


def _mean(weights: list[float]) -> float:
    return sum(w * len(word) for w, word in zip(weights, token_tree.huffman(weights), strict=True))


@exercise("token_trees.theorem_length")
def _theorem_length(function: Any) -> str:
    three = [0.5, 0.25, 0.25]
    found = call(function, three, 4, 11)
    if close(found, 11 / 4 * 1.5):
        raise NotYet("Nothing is rounded yet. A block that is begun must be written, and words have whole bits.")
    if close(found, math.ceil(2.75 * 1.5)):
        raise NotYet("You round the product. The theorem rounds each factor up on its own.")
    if close(found, 2 * 2):
        raise NotYet("You leave out the rest: the last three tokens are a block too.")
    if close(found, 3 * 1.5):
        raise NotYet("The blocks are rounded up, the bits a block are not yet.")
    if close(found, 3 * 1) or close(found, 2.75 * 2):
        raise NotYet("One of the two factors is rounded down, or not at all. Both are rounded *up*.")
    if not close(found, 3 * 2):
        raise NotYet("Eleven tokens make three blocks; 1.5 bits a block become 2. That makes 6; yours does not.")
    if not close(call(function, [0.25] * 4, 2, 6), 6):
        raise NotYet("Where nothing has to be rounded, nothing must be added: three blocks of exactly two bits are 6.")
    about = "A leaf of weight 0 adds no entropy."
    if not close(call(function, [0.5, 0.5, 0.0], 1, 3, about=about), 3):
        raise NotYet(about)
    if not close(call(function, [0.97, 0.03], 1, 100), 100):
        raise NotYet("However small the entropy, rounded up it is one bit a block.")
    return (
        "A tree whose one leaf has 0.97 costs 100 bits for 100 blocks, although its entropy is "
        f"{token_tree.entropy([0.97, 0.03]):.2f} bits a block. Shallow trees pay the rounding at every block, which is "
        "one reason why depth helps; the other is that a deep block carries its own context."
    )


@exercise("token_trees.safe_depth")
def _safe_depth(function: Any) -> str:
    tenth = call(function, 0.1)
    if tenth == 9:
        raise NotYet("Blocks of 9 tokens may lose almost 1/9 of a bit a token, which is more than 0.1.")
    if tenth == 11:
        raise NotYet("11 is safe, but not the smallest: the loss of a block is *less* than one bit, never a whole one.")
    if close(tenth, 0.1):
        raise NotYet("You give back a loss. The question is for a number of tokens.")
    if tenth != 10:
        raise NotYet("A block of 10 tokens loses less than 1 bit, so each token less than 0.1. Yours is not 10.")
    loose = call(function, 0.3)
    if loose % 1:
        raise NotYet("A depth is a whole number of tokens.")
    if loose == 3:
        raise NotYet("Blocks of 3 tokens may lose almost 0.333 bits a token. Round the depth up.")
    if loose != 4:
        raise NotYet("For a loss below 0.3 bits a token, 3 tokens are too few and 4 are enough. Yours is not 4.")
    about = "Even a block of one token loses less than one bit; no depth is smaller than 1."
    if call(function, 5.0, about=about) != 1:
        raise NotYet(about)
    if call(function, 0.01) != 100:
        raise NotYet("For 0.01 bits a token the depth must be 100.")
    return (
        "To lose less than 0.01 bits a token a block needs 100 tokens, more than a document of the micro-world has. "
        "A coder that spends fractions of a bit, like the range coder of the chapter before, has no such price."
    )


@exercise("token_trees.first_rise")
def _first_rise(function: Any) -> str:
    about = "If the rate never rises, the answer is `math.inf`."
    falling = call(function, [3.0, 2.0, 1.0, 0.5], about=about)
    if falling != math.inf:
        raise NotYet(about + " With 3, 2, 1 and 0.5 bits it falls at every depth.")
    found = call(function, [3.0, 1.0, 1.5, 2.5])
    if found == 3 and call(function, [3.1, 1.5, 3.4, 0.8]) == 2:
        raise NotYet("You are one too low: a list counts from 0, and depths from 1.")
    if found == 3:
        raise NotYet(
            "The third token costs more than the second, but is the *mean* of the first three above that of two?"
        )
    if found in (2.5, 2.0, 1.5):
        raise NotYet("You give back bits. The question is for a depth.")
    if not close(found, 4):
        raise NotYet(
            "With 3, 1, 1.5 and 2.5 bits the rates are 3, 2, 1.83 and 2: depth 4 is the first rise, counted from 1."
        )
    if call(function, [1.0, 1.0, 1.0]) != math.inf:
        raise NotYet("A rate that stays the same does not rise.")
    if call(function, [3.1, 1.5, 3.4, 0.8]) != 3:
        raise NotYet(
            "With 3.1, 1.5, 3.4 and 0.8 bits the rates are 3.1, 2.3, 2.67 and 2.2: the first rise is at depth 3."
        )
    return (
        "The rate rises exactly where a token costs more than the mean of those before it. If later tokens never cost "
        "more than earlier ones, it falls throughout. A stationary source is like that. A document is not: its third "
        "token may be a name, and then a deeper tree can have the *worse* rate."
    )
