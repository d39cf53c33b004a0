"""A language model read as a compressor: code length, and a real lossless coder.

A token of probability p costs -log2 p bits (``token_bits``, ``bits_per_byte``). ``compress`` writes a file of very
nearly that size and ``decompress`` rebuilds the text from it, byte for byte. Below both stands a range coder, from the
library constriction; ``encode_symbols`` and ``decode_symbols`` show it alone, with one fixed distribution.
"""

from __future__ import annotations

import hashlib
import math
import struct
import zlib
from collections.abc import Callable, Iterator, Sequence

import constriction
import numpy as np
import torch

LOGITS = 2**25  # numbers in one table of logits: a quarter of a gigabyte in float64
Categorical = constriction.stream.model.Categorical
RangeDecoder, RangeEncoder = constriction.stream.queue.RangeDecoder, constriction.stream.queue.RangeEncoder


def encode(tokenizer, texts: list[str], end: bool = True) -> list[list[int]]:
    """Token ids of each text behind one beginning-of-text token; END behind it if `end`.

    Raises:
        ValueError: no texts, or something that is not a string.
    """
    if isinstance(texts, str) or not len(texts):
        raise ValueError("texts must be a list with at least one string.")
    wrong = [type(text).__name__ for text in texts if not isinstance(text, str)]
    if wrong:
        raise ValueError(f"texts must hold strings, not {wrong[0]}.")
    begin = tokenizer.bos_token_id if tokenizer.bos_token_id is not None else tokenizer.eos_token_id
    rows = tokenizer(list(texts), add_special_tokens=False, split_special_tokens=True, verbose=False)["input_ids"]
    return [[begin, *row, *([tokenizer.eos_token_id] if end else [])] for row in rows]


@torch.no_grad()
def logits(model, rows: list[list[int]]) -> torch.Tensor:
    """Logits of token lists, padded on the right: float32 (rows, longest, vocabulary)."""
    limit = getattr(model.config, "max_position_embeddings", None)
    longest = max(map(len, rows))
    if limit and longest > limit:
        raise ValueError(f"A text has {longest} tokens; the model reads at most {limit}. Cut it into shorter ones.")
    ids = torch.zeros(len(rows), longest, dtype=torch.long)
    mask = torch.zeros_like(ids)
    for i, row in enumerate(rows):
        ids[i, : len(row)] = torch.tensor(row)
        mask[i, : len(row)] = 1
    was_training = model.training
    model.eval()
    try:
        return model(input_ids=ids.to(model.device), attention_mask=mask.to(model.device)).logits.float()
    finally:
        model.train(was_training)


def token_bits(model, tokenizer, texts: list[str], batch_size: int = 64) -> list[np.ndarray]:
    """Bits that the model needs for each token of each text, END included.

    Returns:
        one float64 array a text, of length tokens + 1.
    """
    return row_bits(model, encode(tokenizer, texts), batch_size)


def row_bits(model, rows: list[list[int]], batch_size: int = 64) -> list[np.ndarray]:
    """Bits that the model needs for each token of each row of ids but the first: float64 arrays."""
    bits: list[np.ndarray] = [np.empty(0)] * len(rows)
    order = sorted(range(len(rows)), key=lambda i: len(rows[i]))  # equal lengths together: little padding
    for chosen in batches(model, rows, order, batch_size):
        log_probs = torch.log_softmax(logits(model, [rows[i] for i in chosen]), -1)
        for i, table in zip(chosen, log_probs, strict=True):
            targets = torch.tensor(rows[i][1:], device=table.device)
            said = table[: len(targets)].gather(1, targets[:, None])[:, 0]
            bits[i] = -said.double().cpu().numpy() / math.log(2)
    return bits


def batches(model, rows: list[list[int]], order: Sequence[int], batch_size: int) -> Iterator[Sequence[int]]:
    """Cut `order` into batches, none larger than `batch_size` or than what a table of its logits leaves room for."""
    size = model.config.vocab_size * max(map(len, rows))
    batch_size = max(1, min(batch_size, LOGITS // size))
    return (order[start : start + batch_size] for start in range(0, len(order), batch_size))


def code_length(model, tokenizer, texts: list[str]) -> np.ndarray:
    """Bits of each whole text under the model, END included: float64 (texts,)."""
    return np.array([row.sum() for row in token_bits(model, tokenizer, texts)])


def bits_per_byte(model, tokenizer, texts: list[str]) -> float:
    """Code length of all texts over their UTF-8 bytes; the bits of END are counted, it has no bytes.

    Unlike bits per token this can be compared between models with different tokenizers.
    """
    return float(code_length(model, tokenizer, texts).sum() / sum(len(text.encode()) for text in texts))


class CorruptFile(ValueError):
    """Compressed data that cannot be turned back into the text it was made from."""


_HEADER = struct.Struct("<4s8sIIII")  # magic, digest of the model, pieces, bytes of code, checksums: code, documents
HEADER_BYTES = _HEADER.size  # what a file takes beyond its code
_MAGIC = b"SBK1"
_LONGEST = 1024  # tokens of a piece, where the model could read more
_ROWS = 64  # pieces predicted side by side; another number gives other floating-point results, hence another format


def encode_symbols(symbols: Sequence[int], probabilities: Sequence[float]) -> bytes:
    """Range-code symbols that were drawn independently from one distribution.

    Args:
        symbols: indices into `probabilities`.
        probabilities: one of each symbol; they sum to 1.

    Returns:
        a code that nothing appended to it could make another: -log2 of the symbols' joint probability, in bits,
        rounded up to whole bytes, and sometimes one byte more.

    Raises:
        ValueError: not a distribution, or a symbol that it does not know or holds impossible.
    """
    table = _distribution(probabilities)
    symbols = np.asarray(symbols, dtype=np.int32)
    if symbols.size and not 0 <= symbols.min() <= symbols.max() < len(table):
        raise ValueError(f"symbols must lie between 0 and {len(table) - 1}, the last index of probabilities.")
    impossible = np.flatnonzero(table[symbols] == 0)
    if impossible.size:
        raise ValueError(
            f"Symbol {symbols[impossible[0]]} (number {impossible[0]} of the list) has probability 0: no code length "
            "is long enough for it. Give every symbol that can occur a positive probability."
        )
    coder = RangeEncoder()
    coder.encode(symbols, Categorical(table, perfect=False, lazy=True))
    return _code(coder)


def decode_symbols(data: bytes, probabilities: Sequence[float], n: int) -> np.ndarray:
    """The `n` symbols that ``encode_symbols`` wrote with the same probabilities: int32 (n,).

    Raises:
        ValueError: not a distribution, or n < 0.
        CorruptFile: the data are not what ``encode_symbols`` writes for so many symbols.
    """
    table = _distribution(probabilities)
    if n < 0:
        raise ValueError(f"n is {n}; it must be 0 or more.")
    problem = CorruptFile(f"These {len(data)} bytes are no code of {n} symbols with these probabilities.")
    coder = _decoder(data)
    try:
        symbols = coder.decode(Categorical(table, perfect=False, lazy=True), n)
    except AssertionError:  # constriction's word for data that no encoder can have written
        raise problem from None
    if (table[symbols] == 0).any() or encode_symbols(symbols, table) != data:
        raise problem
    return symbols


def compress(model, tokenizer, texts: list[str]) -> bytes:
    """Documents as a compressed file: their code length under the model, up to two bytes more, and a header of 28.

    Each document is coded as the model would write it: from a fresh start, its end included. One that is longer than
    the model can read is cut into pieces. Decoding needs the same probabilities to the last bit, so the model, the
    libraries' versions, the number of threads and the kind of machine must be the same; ``decompress`` says if they
    are not, instead of giving back another text.

    Raises:
        ValueError: no texts, something that is not a string, or a text that the tokenizer does not keep as it is.
    """
    rows = [row[1:] for row in encode(tokenizer, texts)]
    for number, (text, row) in enumerate(zip(texts, rows, strict=True)):
        if tokenizer.decode(row[:-1], clean_up_tokenization_spaces=False) != text:
            raise ValueError(f"Text {number} changes when this tokenizer reads it, so it could not be rebuilt.")
    longest = _longest(model)
    pieces = [row[start : start + longest] for row in rows for start in range(0, len(row), longest)]
    tokens = [iter(piece) for piece in pieces]
    coder = RangeEncoder()

    def write(piece: int, probabilities: np.ndarray) -> int:
        token = next(tokens[piece])
        coder.encode(token, Categorical(probabilities, perfect=False, lazy=True))
        return token

    _walk(model, tokenizer, len(pieces), write)
    code = _code(coder)
    checks = zlib.crc32(code), zlib.crc32("\0".join(texts).encode())
    return _HEADER.pack(_MAGIC, _digest(model, tokenizer), len(pieces), len(code), *checks) + code


def decompress(model, tokenizer, data: bytes) -> list[str]:
    """The documents that ``compress`` wrote with the same model and tokenizer.

    Raises:
        CorruptFile: not such a file, cut off, damaged, made with another model, or made where floating-point results
            were other than here. Which one is said, and nothing wrong is ever returned.
    """
    if len(data) < _HEADER.size or data[:4] != _MAGIC:
        raise CorruptFile(f"These {len(data)} bytes do not begin as a file that compress wrote.")
    _, digest, count, size, code_check, text_check = _HEADER.unpack_from(data)
    code = data[_HEADER.size :]
    if len(code) < size:
        raise CorruptFile(f"The file is cut off: {len(code)} of {size} bytes are there. Fetch it again.")
    if digest != (ours := _digest(model, tokenizer)):
        raise CorruptFile(
            f"The file was written with another model or tokenizer (digest {digest.hex()}) than this one "
            f"({ours.hex()}). Only the one that wrote it can read it."
        )
    if len(code) > size or zlib.crc32(code) != code_check:
        raise CorruptFile("The file is damaged: its checksum does not agree. Fetch it again.")
    coder = _decoder(code)

    def read(piece: int, probabilities: np.ndarray) -> int:
        return int(coder.decode(Categorical(probabilities, perfect=False, lazy=True)))

    documents, row = [], []
    try:
        for piece in _walk(model, tokenizer, count, read):
            row += piece
            if row[-1] == tokenizer.eos_token_id:
                documents.append(tokenizer.decode(row[:-1], clean_up_tokenization_spaces=False))
                row = []
    except AssertionError:  # constriction's word for data that no encoder can have written
        row = [None]
    if row or zlib.crc32("\0".join(documents).encode()) != text_check:
        raise CorruptFile(
            "The file is whole, but the model's probabilities are not those that wrote it. Use the same kind of "
            "machine, number of threads and versions of torch and transformers."
        )
    return documents


def _code(coder: RangeEncoder) -> bytes:
    """The fewest bytes such that every continuation of them lies in the coder's interval.

    constriction ends on a whole word of four bytes, here and there two, which is a thousandth of a file of 4 kB.
    """
    if coder.is_empty():
        return b""
    words = coder.get_compressed().astype(">u4").tobytes()
    settled, (low, width) = coder.pos()  # so many words precede the last two, in which the interval begins at `low`
    before, last = words[: 4 * settled], words[4 * settled :].ljust(8, b"\0")
    carried = int.from_bytes(last) < low  # the interval goes beyond the last two words, and constriction went there
    low += (int.from_bytes(before) - carried) << 64
    for spare in range(7, -1, -1):  # bytes of the last two words that are not needed
        first = -(-low >> 8 * spare)
        if (first + 1) << 8 * spare <= low + width:
            break
    return first.to_bytes(len(before) + 8 - spare)


def _decoder(code: bytes) -> RangeDecoder:
    return RangeDecoder(np.frombuffer(code + bytes(-len(code) % 4), dtype=">u4").astype(np.uint32))


@torch.no_grad()
def _walk(model, tokenizer, count: int, code: Callable[[int, np.ndarray], int]) -> list[list[int]]:
    """Predict pieces token by token, side by side; `code` (which piece, its probabilities) says what comes.

    Encoder and decoder both come this way, so that both meet the same probabilities: one long pass over known tokens
    would give other last bits than the decoder's single steps.
    """
    end = tokenizer.eos_token_id
    begin = tokenizer.bos_token_id if tokenizer.bos_token_id is not None else end
    pieces: list[list[int]] = [[] for _ in range(count)]
    was_training = model.training
    model.eval()
    try:
        for first in range(0, count, _ROWS):
            rows = pieces[first : first + _ROWS]
            tokens, past, going = torch.full((len(rows), 1), begin), None, list(range(len(rows)))
            for _ in range(_longest(model)):
                said = model(input_ids=tokens.to(model.device), past_key_values=past, use_cache=True)
                past = said.past_key_values
                table = torch.softmax(said.logits[:, -1].float(), -1).cpu().numpy()
                if not np.isfinite(table).all():
                    raise ValueError("The model's probabilities are not numbers: its weights are broken.")
                tokens = torch.full((len(rows), 1), end)
                for i in going:
                    rows[i].append(code(first + i, table[i]))
                    tokens[i] = rows[i][-1]
                going = [i for i in going if rows[i][-1] != end]
                if not going:
                    break
    finally:
        model.train(was_training)
    return pieces


def _longest(model) -> int:
    return min(getattr(model.config, "max_position_embeddings", None) or _LONGEST, _LONGEST)


def _digest(model, tokenizer) -> bytes:
    """Eight bytes that tell models and tokenizers apart."""
    digest = hashlib.sha256(repr(sorted(tokenizer.get_vocab().items())).encode())
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.digest()[:8]


def _distribution(probabilities: Sequence[float]) -> np.ndarray:
    table = np.asarray(probabilities, dtype=np.float64)
    if table.ndim != 1 or len(table) < 2:
        raise ValueError("probabilities must be a list of at least two numbers.")
    if not (table >= 0).all() or abs(table.sum() - 1) > 1e-6:
        raise ValueError(f"probabilities must not be negative and must sum to 1; they sum to {table.sum():.6g}.")
    return table
