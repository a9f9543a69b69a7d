"""Forward passes of one model over the pages: a batch in, logits and hidden states out.

Makes the model's attention ours, and proves on a few tokens that the result is the same as with its own:
a model that attends in a way we do not know (sinks, linear attention, layers that share keys) is refused.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from functions.gpu.engine.attention import NAME, Step, choose_attention
from functions.gpu.engine.batch import Batch, make_batch
from functions.gpu.engine.graphs import DecodeGraphs
from functions.gpu.engine.kv_cache import KvCache
from functions.gpu.engine.loader import LoadedModel
from functions.gpu.engine.protocol import ModelUnreadable, Sampling
from functions.gpu.engine.scheduler import Row
from functions.gpu.engine.sequence import Sequence

TRIAL_TOKENS = 24
WINDOWS = ("sliding_window", "attention_chunk_size")  # settings, in tokens
TRIAL_WINDOW = 5
TOLERANCE = {torch.float64: 1e-6, torch.float32: 1e-3}  # relative; other types round more
TOLERANCE_16_BIT = 0.1


@dataclass(frozen=True, slots=True)
class Computed:
    """What a step computed: logits [S, vocabulary], and hidden states [T, hidden size] where some row embeds."""

    batch: Batch
    logits: Any
    hidden: Any


class Runner:
    """One model on its pages. To be called under torch.inference_mode, by one thread."""

    def __init__(self, loaded: LoadedModel, cache: KvCache) -> None:
        self.device = loaded.device
        self.dtype = loaded.dtype
        self._model = loaded.model
        self._longest = loaded.context_length
        self._cache: Any = cache
        self._attention = choose_attention(loaded.model.config.get_text_config(), self.device, self.dtype)
        self._graphs: DecodeGraphs | None = None
        self._own_attention = loaded.model.config._attn_implementation  # noqa: SLF001  (transformers has no other way)
        self._hidden: Any = None
        self._wants_hidden = False
        self._hook = loaded.model.base_model.register_forward_hook(self._keep_hidden)

    def run(self, rows: list[Row], decoding: int) -> Computed:
        """One forward pass; the first rows so many decode. The logits hold until the next call."""
        batch = make_batch(rows, decoding, page_tokens=self._cache.shape.page_tokens, device=self.device)
        if self._graphs is not None and decoding == len(rows):
            logits = self._graphs.run(batch)
            if logits is not None:
                return Computed(batch, logits, None)
        self._wants_hidden = any(row.sequence.embeds for row in rows)
        batch.view = self._attention.view(batch)
        logits = self._forward(batch.ids, batch.positions, batch.slots, batch.view, batch.keep)
        hidden, self._hidden = self._hidden, None
        return Computed(batch, logits, hidden)

    def prove(self) -> None:
        """Take over the model's attention, and compare. Raises ModelUnreadable."""
        room = self._cache.pages * self._cache.shape.page_tokens
        ids = torch.arange(min(TRIAL_TOKENS, room), device=self.device)[None] * 7 + 3
        ids %= self._model.get_input_embeddings().num_embeddings
        try:
            with _narrow_windows(self._model, self._longest):
                wanted = self._model(input_ids=ids, use_cache=False).logits[0].float()
                self._model.set_attn_implementation(NAME)
                given = self._in_pieces(ids[0].tolist())
        except Exception as error:
            reason = str(error).strip().partition("\n")[0][:200]
            raise ModelUnreadable(f"the engine cannot run this model's: {reason}") from error
        apart = float((given - wanted).norm() / wanted.norm().clamp_min(1e-12))
        if not apart <= TOLERANCE.get(self.dtype, TOLERANCE_16_BIT):
            raise ModelUnreadable(
                f"this model's is of a kind that the engine does not have (logits differ by {apart:.2g})"
            )

    def capture(self, most: int, longest: int) -> None:
        """On CUDA, record decoding as graphs for up to `most` rows of up to `longest` tokens each."""
        if self.device.type == "cuda" and DecodeGraphs.fits(self._attention):
            self._graphs = DecodeGraphs(self._forward, self._cache, most=most, longest=longest)

    def check(self) -> None:
        """Raises where the device itself is broken: after some errors CUDA answers nothing any more."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def close(self) -> None:
        """Let go of the model, as it was, and of the pages."""
        self._hook.remove()
        self._model.set_attn_implementation(self._own_attention)
        self._graphs = self._model = self._cache = None

    def _forward(self, ids: Any, positions: Any, slots: Any, view: Any, keep: Any) -> Any:
        output = self._model(
            input_ids=ids,
            position_ids=positions,
            use_cache=False,
            logits_to_keep=keep,
            paged=Step(self._cache, self._attention, slots, view),
        )
        return output.logits[0]

    def _keep_hidden(self, _module: Any, _inputs: Any, output: Any) -> None:
        if self._wants_hidden:
            self._hidden = output[0][0]

    def _in_pieces(self, ids: list[int]) -> Any:
        """The logits of every position: two chunks of a prompt, then a decoded token."""
        pages = range(-(-len(ids) // self._cache.shape.page_tokens))
        sequence = Sequence(ids[:-1], Sampling(max_tokens=1, prompt_logprobs=0), pages=list(pages))
        self._cache.wipe(list(pages))
        half, last = len(ids) // 2, len(ids) - 1
        logits = [self.run([Row(sequence, *part)], 0).logits.float() for part in ((0, half), (half, last))]
        sequence.output.append(ids[-1])
        logits.append(self.run([Row(sequence, last, last + 1)], 1).logits.float())
        return torch.cat(logits)


@contextmanager
def _narrow_windows(model: Any, longest: int) -> Iterator[None]:
    """Make windows that a text of the longest may outgrow so small that the trial shows them.

    For a window that a model puts into its mask alone, and does not tell its attention of, we do not keep.
    """
    wide = [
        (holder, name, tokens)
        for holder in (model.config.get_text_config(), *model.modules())
        for name in WINDOWS
        if isinstance(tokens := vars(holder).get(name), int) and TRIAL_WINDOW < tokens < longest
    ]
    try:
        for holder, name, _ in wide:
            setattr(holder, name, TRIAL_WINDOW)
        yield
    finally:
        for holder, name, tokens in wide:
            setattr(holder, name, tokens)
