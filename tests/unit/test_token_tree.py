"""Token trees and the protocol: weights, pruning, Huffman's code against every other code, and the way back."""

import itertools
import math
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers import token_tree
from helpers.token_tree import END, TokenTree

tokens = st.lists(st.sampled_from("abc"), max_size=6).map(tuple)
corpora = st.lists(tokens, min_size=1, max_size=12)
depths = st.integers(1, 8)
masses = st.lists(st.integers(0, 40), min_size=2, max_size=6).filter(any)


def shares(masses):
    return [mass / sum(masses) for mass in masses]


def mean_length(probabilities, words):
    return sum(p * len(word) for p, word in zip(probabilities, words, strict=True))


# ---- trees ---------------------------------------------------------------------------------------------------


def test_a_tree_counts_responses_and_orders_its_leaves():
    tree = TokenTree.of(["ab", "ab", "a", "b"])
    assert list(tree.leaves.items()) == [(("a", "b", END), 0.5), (("a", END), 0.25), (("b", END), 0.25)]
    assert tree.nodes()[("a",)] == 0.75
    assert tree.depth == 3
    assert tree.entropy() == pytest.approx(1.5)
    assert TokenTree.of({"ab": 0.5, "a": 0.25, "b": 0.25}) == tree


@given(corpora)
def test_a_parent_weighs_what_its_children_weigh(responses):
    nodes = TokenTree.of(responses).nodes()
    assert nodes[()] == pytest.approx(1)
    for path in nodes:
        children = [weight for child, weight in nodes.items() if child[:-1] == path and child]
        assert not children or sum(children) == pytest.approx(nodes[path])
    assert [len(path) for path in nodes] == sorted(len(path) for path in nodes)


@given(corpora, depths)
def test_pruning_keeps_the_weights_of_what_is_left(responses, depth):
    tree = TokenTree.of(responses)
    pruned, nodes = tree.prune(depth), tree.nodes()
    assert sum(pruned.leaves.values()) == pytest.approx(1)
    assert {path: pytest.approx(nodes[path]) for path in pruned.leaves} == dict(pruned.leaves)
    assert set(pruned.nodes()) == {path for path in nodes if len(path) <= depth}
    assert pruned.depth == min(depth, tree.depth)
    assert pruned.entropy() <= tree.prune(depth + 1).entropy() + 1e-9


def test_tokens_become_binary_layers():
    assert token_tree.bits([5, 0, 3], 3) == "101000011"
    assert TokenTree.of([token_tree.bits([1], 2), token_tree.bits([2], 2)]).prune(1).leaves == {
        ("0",): 0.5,
        ("1",): 0.5,
    }


# ---- Huffman's code ------------------------------------------------------------------------------------------


def full_codes(n):
    """Lengths of every full prefix code of n words, in every order."""
    return [lengths for lengths in itertools.product(range(1, n), repeat=n) if sum(2.0**-k for k in lengths) == 1]


@settings(max_examples=40)
@given(masses)
def test_no_prefix_code_is_shorter_than_huffmans(masses):
    probabilities = shares(masses)
    best = min(sum(p * k for p, k in zip(probabilities, lengths, strict=True)) for lengths in full_codes(len(masses)))
    assert mean_length(probabilities, token_tree.huffman(probabilities)) == pytest.approx(best)


@given(st.lists(st.integers(1, 1000), min_size=2, max_size=60))
def test_huffmans_words_are_prefix_free_fill_all_room_and_cost_less_than_a_bit_too_much(masses):
    probabilities = shares(masses)
    words = token_tree.huffman(probabilities)
    assert sum(2.0 ** -len(word) for word in words) == 1
    assert not any(b.startswith(a) for a, b in itertools.permutations(words, 2))
    assert set("".join(words)) == {"0", "1"}
    entropy = token_tree.entropy(probabilities)
    assert entropy - 1e-9 <= mean_length(probabilities, words) < entropy + 1


def test_huffman_is_the_same_everywhere_and_names_a_single_leaf():
    assert token_tree.huffman([0.4, 0.3, 0.2, 0.1]) == ["0", "10", "111", "110"]
    assert token_tree.huffman([0.25] * 4) == ["00", "01", "10", "11"]
    assert token_tree.huffman([1.0]) == ["0"]
    assert TokenTree.of(["a"]).huffman() == {("a", END): "0"}


# ---- the protocol --------------------------------------------------------------------------------------------


@given(corpora, depths)
def test_what_is_written_is_read_back(responses, depth):
    code = token_tree.block_tree(responses, depth).huffman()
    for response in responses:
        assert token_tree.decode(token_tree.encode(response, code, depth), code) == response


@given(tokens, depths)
def test_blocks_join_to_the_response_and_only_the_last_holds_its_end(response, depth):
    cut = token_tree.blocks(response, depth)
    assert tuple(itertools.chain(*cut)) == (*response, END)
    assert {len(block) for block in cut[:-1]} <= {depth}
    assert len(cut) == math.ceil((len(response) + 1) / depth)


def test_the_tree_of_blocks_counts_later_blocks_too():
    assert token_tree.block_tree(["aab", "aa"], 2).leaves == {("a", "a"): 0.5, ("b", END): 0.25, (END,): 0.25}
    first = TokenTree.of(["aab", "aa"]).prune(2)
    assert first.leaves == {("a", "a"): 1}
    with pytest.raises(ValueError, match=re.escape("no word for the block ('b', 'END')")):
        token_tree.encode("aab", first.huffman(), 2)


@given(corpora, depths, st.integers(1, 40))
def test_theorem_3_4_rounds_blocks_and_entropy_up(responses, depth, length):
    tree = TokenTree.of(responses)
    found = token_tree.ideal_code_length(tree, depth, length)
    number = -(-length // depth)
    assert found % number == 0
    assert 0 <= found / number - tree.prune(depth).entropy() < 1 + 1e-8 or found == 0


def test_theorem_3_4_in_one_known_case():
    tree = TokenTree.of({"aa": 0.5, "ab": 0.25, "b": 0.25})
    assert [token_tree.ideal_code_length(tree, depth, 5) for depth in (1, 2, 3)] == [5, 3 * 2, 2 * 2]


def test_theorem_3_4_does_not_round_a_rounding_error_up():
    halves = TokenTree.of([letter + "x" * n for letter in "ab" for n in range(19)])
    assert halves.prune(1).entropy() > 1
    assert token_tree.ideal_code_length(halves, 1, 3) == 3


# ---- bad input -----------------------------------------------------------------------------------------------

TREE = TokenTree.of(["ab", "b"])
CODE = token_tree.block_tree(["ab", "b"], 1).huffman()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: TokenTree({}), "The tree is empty"),
        (lambda: TokenTree.of([]), "The tree is empty"),
        (lambda: TokenTree({("a",): 0.5}), r"the weights of the leaves must sum to 1, not to 0.5: divide"),
        (lambda: TokenTree.of({"a": 1.5, "b": -0.5}), "must not be negative or missing: the smallest is -0.5"),
        (lambda: TokenTree({("a",): 0.5, ("a", "b"): 0.5}), r"The leaf \('a',\) lies above another leaf"),
        (lambda: TokenTree.of([("a", END, "b")]), "A response must not hold 'END'"),
        (lambda: token_tree.blocks(("a", END), 2), "A response must not hold 'END'"),
        (lambda: TREE.prune(0), "depth must be a whole number of at least 1, not 0"),
        (lambda: TREE.prune(True), "depth must be a whole number"),
        (lambda: token_tree.blocks("ab", 1.5), "depth must be a whole number of at least 1, not 1.5"),
        (lambda: token_tree.block_tree([], 2), "The tree is empty"),
        (lambda: token_tree.ideal_code_length(TREE, 0, 3), "depth must be a whole number of at least 1, not 0"),
        (lambda: token_tree.ideal_code_length(TREE, 2, 0), "length must be a whole number of at least 1, not 0"),
        (lambda: token_tree.huffman([0.5, 0.6]), "probabilities must sum to 1, not to 1.1"),
        (lambda: token_tree.huffman([]), "at least one number"),
        (lambda: token_tree.huffman([0.5, math.nan]), "must not be negative or missing"),
        (lambda: token_tree.encode("ac", CODE, 1), r"no word for the block \('c',\): it is not in the tree"),
        (lambda: token_tree.decode(token_tree.encode("ab", CODE, 1)[:-1], CODE), "they end too early"),
        (lambda: token_tree.decode(token_tree.encode("ab", CODE, 1) + "0", CODE), "too late"),
        (lambda: token_tree.decode(CODE["a",], CODE), "they end too early"),
        (lambda: token_tree.decode("", CODE), "they end too early"),
        (lambda: token_tree.bits([8], 3), "tokens must lie between 0 and 7 to fit into width=3 bits"),
        (lambda: token_tree.bits([-1], 3), "tokens must lie between 0 and 7"),
        (lambda: token_tree.bits([0], 0), "width must be a whole number of at least 1, not 0"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_numpys_whole_numbers_will_do():
    assert token_tree.bits(np.array([1, 2]), 2) == "0110"
    assert TREE.prune(np.int64(1)) == TREE.prune(1)
