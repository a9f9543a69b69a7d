"""One step as tensors: every row's tokens in one flat sequence, and where each of them finds its past.

T is the number of tokens, N of rows, S of positions whose logits are wanted. What only one kind of device
needs is made by its attention (`attention.py`).
"""

from dataclasses import dataclass
from typing import Any

import torch

from functions.gpu.engine.scheduler import Row


@dataclass(slots=True)
class Batch:
    """A step's inputs. Rows that decode come first."""

    rows: list[Row]
    decoding: int  # rows, of one token each
    ids: Any  # int64 [1, T]
    positions: Any  # int64 [1, T]
    slots: Any  # int64 [T]: page * page_tokens + place in the page
    keep: Any  # int64 [S], places in the flat sequence
    kept: list[tuple[Row, int]]  # for each row with wanted logits, how many of `keep` are its own
    view: Any = None  # the attention's own


def make_batch(rows: list[Row], decoding: int, *, page_tokens: int, device: Any) -> Batch:
    """The tensors of these rows, copied to the device at once."""
    ids: list[int] = []
    positions: list[int] = []
    slots: list[int] = []
    keep: list[int] = []
    kept = []
    for row in rows:
        sequence, start, end = row.sequence, row.start, row.end
        ids += sequence.tokens(start, end)
        positions += range(start, end)
        slots += _slots(sequence.pages, start, end, page_tokens)
        wanted = _wanted(row)
        keep += range(len(ids) - wanted, len(ids))
        if wanted:
            kept.append((row, wanted))
    count = len(ids)
    flat = torch.tensor(ids + positions + slots + keep, dtype=torch.int64)
    if device.type == "cuda":
        flat = flat.pin_memory().to(device, non_blocking=True)
    return Batch(
        rows=rows,
        decoding=decoding,
        ids=flat[:count].unsqueeze(0),
        positions=flat[count : 2 * count].unsqueeze(0),
        slots=flat[2 * count : 3 * count],
        keep=flat[3 * count :],
        kept=kept,
    )


def _wanted(row: Row) -> int:
    """How many of a row's last positions give logits."""
    sequence = row.sequence
    if sequence.sampling.prompt_logprobs is not None and row.start < len(sequence.prompt):
        return row.end - row.start
    return int(row.samples and not sequence.embeds)


def _slots(pages: list[int], start: int, end: int, page_tokens: int) -> list[int]:
    if end - start == 1:
        page, place = divmod(start, page_tokens)
        return [pages[page] * page_tokens + place]
    return [pages[at // page_tokens] * page_tokens + at % page_tokens for at in range(start, end)]
