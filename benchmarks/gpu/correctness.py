"""Whether the engine says what transformers says, on this device.

`python -m benchmarks.gpu.correctness DEVICE PLAN SECONDS`, for each family of tiny models:

float32     Greedy answers are those of `generate`, token for token: with room for everything, with prompts read
            in pieces, and with so few pages that sequences lose theirs and are computed again.
bfloat16    Answers differ, because rounding does. So each probability that the engine reports is compared with
            float32's of the same weights and tokens, beside how far transformers' own bfloat16 is from it; once
            with decoding as recorded graphs, where the device has them, and once without.
"""

import asyncio
import copy
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Any
from unittest.mock import patch

import torch

import benchmarks.gpu.bare  # noqa: F401  (before the engine is imported)
from benchmarks.engine.models import FIRST_WORD, make_causal_lm, make_tokenizer
from benchmarks.engine.ours import greedy, make_engine
from benchmarks.engine.workload import Request, workload
from benchmarks.gpu.arguments import Arguments, read_arguments
from benchmarks.gpu.families import CONTEXT, HEAD_DIM, KV_HEADS, LAYERS, NAMES, VOCABULARY, family_config
from benchmarks.gpu.lines import Line, tell
from benchmarks.gpu.plan import Correctness
from functions.gpu.engine.graphs import DecodeGraphs
from functions.gpu.engine.protocol import Delta, Prefilled, Sampling

_PAGE = 16  # tokens, in float32; a page in bfloat16 is as the device demands
_MAX_RUNNING = 8
_CLOSE = 1.5  # times transformers' own distance, and
_ROUNDING = 1e-3  # a little, where that is next to nothing


@dataclass(slots=True)
class Answer:
    """What the engine gave one request. Logprobs are of the prompt's tokens but the first, and of the new ones."""

    text: str = ""
    tokens: list[int] | None = None
    prompt: list[float] | None = None
    new: list[float] | None = None


class Family:
    """One family of tiny models on one device."""

    def __init__(self, name: str, device: str, plan: Correctness) -> None:
        self._device = device
        self._plan = plan
        self._tokenizer = make_tokenizer(VOCABULARY)
        self._model = make_causal_lm(family_config(name, plan.window), dtype=torch.float32, device=device)
        self._requests = workload(plan.requests, range(FIRST_WORD, VOCABULARY), plan.prompt, plan.new)

    async def float32(self) -> AsyncIterator[Line]:
        """How many answers are those of `generate`."""
        wanted = [self._tokenizer.decode(self._generated(request)) for request in self._requests]
        few = self._plan.pages * _PAGE * 2 * LAYERS * KV_HEADS * HEAD_DIM * 4  # bytes
        for how, options in {
            "room for all": {},
            "prompts in pieces": {"step_tokens": self._plan.step_tokens},
            "few pages": {"step_tokens": self._plan.step_tokens, "kv_bytes": few},
        }.items():
            answers, figures = await self._answers(self._model, logprobs=False, page_tokens=_PAGE, **options)
            same = sum(answer.text == text for answer, text in zip(answers, wanted, strict=True))
            yield {
                "dtype": "float32",
                "how": how,
                "same": same,
                "of": len(wanted),
                "different_answers": len(set(wanted)),
                "steps": figures.steps_total,
                "preemptions": figures.preemptions_total,
                "right": same == len(wanted),
            }

    async def bfloat16(self) -> AsyncIterator[Line]:
        """How far probabilities are from float32's, in natural logarithms: the mean over all tokens."""
        model = copy.deepcopy(self._model).to(torch.bfloat16)
        exact = copy.deepcopy(model).float()
        texts: list[list[str]] = []
        graphs = self._device.startswith("cuda")
        for recorded in (True, False) if graphs else (False,):
            never: AbstractContextManager[Any] = patch.object(DecodeGraphs, "fits", lambda _: False)
            with nullcontext() if recorded else never:
                answers, figures = await self._answers(model, logprobs=True)
            texts.append([answer.text for answer in answers])
            line: Line = {"dtype": "bfloat16", "graphs": recorded, "steps": figures.steps_total}
            yield line | self._distances(answers, model, exact)
        if graphs:
            same = sum(one == other for one, other in zip(*texts, strict=True))
            yield {"dtype": "bfloat16", "how": "with and without graphs", "same": same, "of": len(texts[0])}

    def _generated(self, request: Request) -> list[int]:
        prompt = torch.tensor([request.prompt], device=self._device)
        output = self._model.generate(
            prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=request.new, do_sample=False
        )
        return [int(token) for token in output[0, len(request.prompt) :]]

    async def _answers(self, model: Any, *, logprobs: bool, **options: Any) -> tuple[list[Answer], Any]:
        """Every request at once, on an engine of its own: it takes over the attention of a model's copy."""
        options = {"max_running": _MAX_RUNNING, "kv_bytes": 1 << 28, **options}
        engine = make_engine(copy.deepcopy(model), self._tokenizer, CONTEXT, **options)
        try:
            answers = await asyncio.gather(*(_read(engine, request, logprobs) for request in self._requests))
            return list(answers), engine.figures()
        finally:
            await engine.close()

    def _distances(self, answers: Sequence[Answer], model: Any, exact: Any) -> Line:
        apart: dict[str, list[float]] = {"prompt": [], "new": [], "theirs": []}
        for request, answer in zip(self._requests, answers, strict=True):
            tokens, given = request.prompt + (answer.tokens or []), (answer.prompt or []) + (answer.new or [])
            wanted, theirs = _logprobs(exact, tokens), _logprobs(model, tokens)
            split = len(request.prompt) - 1
            mine = [abs(one - other) for one, other in zip(given, wanted, strict=True)]
            apart["prompt"] += mine[:split]
            apart["new"] += mine[split:]
            apart["theirs"] += [abs(one - other) for one, other in zip(theirs, wanted, strict=True)]
        mean = {name: sum(values) / len(values) for name, values in apart.items()}
        most = mean["theirs"] * _CLOSE + _ROUNDING
        return {
            "prompts_apart": mean["prompt"],
            "answers_apart": mean["new"],
            "transformers_apart": mean["theirs"],
            "right": max(mean["prompt"], mean["new"]) <= most,
        }


async def _read(engine: Any, request: Request, logprobs: bool) -> Answer:
    sampling: Sampling = greedy(request.new)
    if logprobs:
        sampling = replace(sampling, logprobs=0, prompt_logprobs=0)
    answer, found = Answer(), []
    async for event in engine.generate([request.prompt], sampling):
        if isinstance(event, Prefilled):
            answer.prompt = [one.token.logprob for one in event.logprobs if one.token.logprob is not None]
        elif isinstance(event, Delta):
            answer.text += event.text
            found += [one.token for one in event.logprobs]
    answer.tokens = [token.id for token in found]
    answer.new = [token.logprob for token in found if token.logprob is not None]
    return answer


def _logprobs(model: Any, tokens: list[int]) -> list[float]:
    """Of every token but the first, by one forward pass over all of them."""
    ids = torch.tensor([tokens], device=model.device)
    with torch.inference_mode():
        logprobs = model(input_ids=ids, use_cache=False).logits[0, :-1].float().log_softmax(-1)
    return [float(value) for value in logprobs.gather(-1, ids[0, 1:, None])[:, 0]]


async def _check(arguments: Arguments) -> bool:
    well = True
    for name in NAMES:
        family = Family(name, arguments.device, arguments.plan.correctness)
        for section in (family.float32, family.bfloat16):
            well &= await tell(f"correctness: {name}", arguments.bounded(section()))
    return well


if __name__ == "__main__":
    raise SystemExit(not asyncio.run(_check(read_arguments())))
