"""The range coder alone: every symbol comes back, the size is the ideal one, and nonsense is refused."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers import compression
from helpers.compression import CorruptFile, decode_symbols, encode_symbols

COIN = [0.9, 0.1]


@st.composite
def messages(draw):
    weights = draw(st.lists(st.floats(1e-6, 1), min_size=2, max_size=20))
    table = np.array(weights) / sum(weights)
    return table, draw(st.lists(st.integers(0, len(weights) - 1), max_size=60))


def read_on(data, table, n):
    return compression._decoder(data).decode(compression.Categorical(table, perfect=False, lazy=True), n)


@settings(max_examples=10_000)
@given(messages())
def test_what_was_written_is_read(message):
    table, symbols = message
    data = encode_symbols(symbols, table)
    assert list(decode_symbols(data, table, len(symbols))) == symbols
    ideal = -np.log2(table[symbols]).sum()
    assert 8 * len(data) <= ideal * 1.01 + 16  # tables are rounded to 2^-24, ends to whole bytes
    for more in (b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x80"):  # no code is the beginning of another one
        with pytest.raises(CorruptFile):
            decode_symbols(data + more, table, len(symbols))
        assert list(read_on(data + more, table, len(symbols))) == symbols


def test_a_million_symbols_take_their_entropy():
    rng = np.random.Generator(np.random.PCG64(0))
    table = 1 / np.arange(1, 201)
    table /= table.sum()
    symbols = rng.choice(200, size=1_000_000, p=table)
    data = encode_symbols(symbols, table)
    ideal = -np.log2(table[symbols]).sum()
    assert (decode_symbols(data, table, len(symbols)) == symbols).all()
    assert ideal - 16 < 8 * len(data) < 1.0001 * ideal


def test_an_interval_across_a_border_of_words_is_named_rightly():
    """Found by a search: the end of the code carries into the words before it, which happens once in 2^32 codes."""
    counts = [(8388592, 32, 8388592), (8642802, 20, 8134394), (12077628, 4194304, 505284)]
    tables = [compression.Categorical(np.array(row) / 2**24, perfect=False, lazy=True) for row in counts]
    coder = compression.RangeEncoder()
    for table in tables:
        coder.encode(1, table)
    settled, (low, width) = coder.pos()
    assert (settled, low > 2**64 - 2**32, low + width > 2**64) == (1, True, True)
    decoder = compression._decoder(compression._code(coder))
    assert [decoder.decode(table) for table in tables] == [1, 1, 1]


@pytest.mark.parametrize(
    ("symbols", "table", "message"),
    [
        ([0], [0.5, 0.4], "sum to 0.9"),
        ([0], [1.5, -0.5], "must not be negative"),
        ([0], [math.nan, 0.5], "must sum to 1"),
        ([0], [1.0], "at least two"),
        ([0], [[0.5, 0.5]], "at least two"),
        ([0, 2], COIN, "between 0 and 1"),
        ([-1], COIN, "between 0 and 1"),
        ([0, 0, 1], [1.0, 0.0], r"Symbol 1 \(number 2 of the list\) has probability 0"),
    ],
)
def test_what_is_no_distribution_or_cannot_occur_is_refused(symbols, table, message):
    with pytest.raises(ValueError, match=message):
        encode_symbols(symbols, table)


def test_codes_that_nobody_wrote_are_refused():
    symbols = [0, 1] * 200
    data = encode_symbols(symbols, COIN)
    flipped = bytes([data[0] ^ 255]) + data[1:]
    for wrong in (data[:-1], data[:-4], data + b"\1\0\0\0", flipped, b""):
        with pytest.raises(CorruptFile, match="no code of 400 symbols"):
            decode_symbols(wrong, COIN, 400)
    with pytest.raises(ValueError, match="n is -1"):
        decode_symbols(data, COIN, -1)
    assert list(decode_symbols(b"", COIN, 0)) == []
