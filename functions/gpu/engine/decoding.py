"""One request through one model: prefill, then a token a step, as a plain generator of events.

Promises to hand back control after every forward pass, so that whoever drives it notices a cancellation
within one step; a long prompt is taken in chunks for the same reason. Threads, queues and event loops are the
engine's (engine.py).
"""

from collections.abc import Generator, Iterator

import torch

from functions.gpu.engine.detokenizer import Detokenizer
from functions.gpu.engine.loader import LoadedModel
from functions.gpu.engine.protocol import Delta, Event, Finished, FinishReason, Sampling
from functions.gpu.engine.sampler import Sampler
from functions.gpu.engine.stop import StopStrings

PREFILL_CHUNK = 256  # tokens


def decode(loaded: LoadedModel, prompt: list[int], sampling: Sampling) -> Generator[Event | None]:
    """Every event of a generation, the last a Finished; None after a step that gave no token.

    The prompt and `max_tokens` must fit the context together.
    """
    steps = _Steps(loaded)
    for start in range(0, len(prompt), PREFILL_CHUNK):
        yield None
        steps.forward(prompt[start : start + PREFILL_CHUNK])
    sampler, text = Sampler(sampling), _AnswerText(loaded, sampling)
    for count in range(1, sampling.max_tokens + 1):
        token = sampler.pick(steps.logits)
        if token in loaded.end_ids:
            yield from _end(text, FinishReason.STOP, count)
            return
        yield Delta(text.push(token), count)
        if text.stopped:
            yield Finished(FinishReason.STOP, count)
            return
        if count < sampling.max_tokens:
            steps.forward([token])
    yield from _end(text, FinishReason.LENGTH, sampling.max_tokens)


def _end(text: "_AnswerText", reason: FinishReason, count: int) -> Iterator[Event]:
    """The text still held back, which may complete a stop string, and the last event."""
    if rest := text.finish():
        yield Delta(rest, count)
    yield Finished(FinishReason.STOP if text.stopped else reason, count)


class _Steps:
    """Forward passes over one sequence, with its key-value cache and the last position's logits."""

    def __init__(self, loaded: LoadedModel) -> None:
        self._model = loaded.model
        self._cache = None  # the model makes the kind it needs at the first step
        self.logits = torch.empty(0)

    @torch.inference_mode()
    def forward(self, tokens: list[int]) -> None:
        output = self._model(
            input_ids=torch.tensor([tokens], device=self._model.device),
            past_key_values=self._cache,
            use_cache=True,
            logits_to_keep=1,
        )
        self._cache = output.past_key_values
        self.logits = output.logits[0, -1]


class _AnswerText:
    """Tokens to the text that may leave: whole characters, and nothing of a stop string."""

    def __init__(self, loaded: LoadedModel, sampling: Sampling) -> None:
        self._detokenizer = Detokenizer(loaded.vocabulary)
        self._stops = StopStrings(sampling.stop)

    @property
    def stopped(self) -> bool:
        return self._stops.hit

    def push(self, token: int) -> str:
        return self._stops.push(self._detokenizer.push(token))

    def finish(self) -> str:
        return self._stops.push(self._detokenizer.finish()) + self._stops.finish()
