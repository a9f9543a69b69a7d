"""The peers: four ways to serve many requests with transformers itself, as its documentation shows them.

All are greedy, and each gives every request exactly the tokens it asks for, or the benchmark fails.
"""

import threading
import time
from collections.abc import Sequence
from typing import Any, Protocol

import torch
from transformers import GenerationConfig, TextIteratorStreamer
from transformers.generation import ContinuousBatchingConfig

from benchmarks.engine.timeline import Timeline
from benchmarks.engine.workload import Request
from benchmarks.failure import BenchmarkFailed

_PAGE = 16  # tokens
_STEP_TOKENS = 512  # of one forward pass, as many as our own engine's
_PATIENCE = 300.0  # seconds without any token


class Contender(Protocol):
    """A way to serve requests with one model."""

    def serve(self, requests: Sequence[Request]) -> Timeline:
        """Serve requests that all come at once. Raises BenchmarkFailed."""


class Threads:
    """A thread for each request, with a TextIteratorStreamer. What arrives is a word, which is a token."""

    def __init__(self, model: Any, tokenizer: Any) -> None:
        self._model = model
        self._tokenizer = tokenizer

    def serve(self, requests: Sequence[Request]) -> Timeline:
        arrivals: list[list[float]] = [[] for _ in requests]
        lost: list[int] = []
        threads = [
            threading.Thread(target=self._read, args=(request, times, lost))
            for request, times in zip(requests, arrivals, strict=True)
        ]
        begun = time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if lost:
            raise BenchmarkFailed(f"a thread per request: {len(lost)} of {len(requests)} lost tokens")
        return Timeline(begun, arrivals)

    def _read(self, request: Request, times: list[float], lost: list[int]) -> None:
        streamer = TextIteratorStreamer(self._tokenizer, skip_prompt=True)
        given: list[int] = []
        thread = threading.Thread(target=self._generate, args=(request, streamer, given))
        thread.start()
        times.extend(time.perf_counter() for text in streamer if text)
        thread.join()
        if given != [request.new]:
            lost.append(request.new)

    def _generate(self, request: Request, streamer: Any, given: list[int]) -> None:
        prompt = torch.tensor([request.prompt])
        try:
            output = self._model.generate(
                prompt,
                attention_mask=torch.ones_like(prompt),
                max_new_tokens=request.new,
                do_sample=False,
                streamer=streamer,
            )
            given.append(output.shape[1] - len(request.prompt))
        finally:
            if not given:
                streamer.end()  # or its reader would wait for ever


class _Stamps:
    """A streamer that only looks at the clock."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def put(self, _: Any) -> None:
        self.times.append(time.perf_counter())

    def end(self) -> None:
        pass


class Sequential:
    """One `generate` after another, in the order of arrival."""

    def __init__(self, model: Any) -> None:
        self._model = model

    def serve(self, requests: Sequence[Request]) -> Timeline:
        begun = time.perf_counter()
        return Timeline(begun, [self._generate(request) for request in requests])

    def _generate(self, request: Request) -> list[float]:
        stamps, prompt = _Stamps(), torch.tensor([request.prompt])
        self._model.generate(
            prompt,
            attention_mask=torch.ones_like(prompt),
            max_new_tokens=request.new,
            do_sample=False,
            streamer=stamps,
        )
        _, *times = stamps.times  # the first is the prompt's
        if len(times) != request.new:
            raise BenchmarkFailed(f"sequential: {len(times)} of {request.new} tokens")
        return times


class StaticBatch:
    """One batch, padded on the left to the longest prompt, until the longest answer is done; then all arrives.

    What a request gets beyond the tokens it asked for is not counted.
    """

    def __init__(self, model: Any) -> None:
        self._model = model

    def serve(self, requests: Sequence[Request]) -> Timeline:
        begun = time.perf_counter()
        longest = max(len(request.prompt) for request in requests)
        blank = [longest - len(request.prompt) for request in requests]
        prompts = torch.tensor([[0] * pad + request.prompt for pad, request in zip(blank, requests, strict=True)])
        mask = torch.tensor([[0] * pad + [1] * (longest - pad) for pad in blank])
        new = max(request.new for request in requests)
        output = self._model.generate(prompts, attention_mask=mask, max_new_tokens=new, do_sample=False)
        if output.shape[1] != longest + new:
            raise BenchmarkFailed(f"a static batch: {output.shape[1] - longest} of {new} tokens")
        return Timeline(begun, [[time.perf_counter()]] * len(requests))


class TransformersBatching:
    """transformers' own continuous batching, streaming, with a pool that holds every request."""

    def __init__(self, model: Any) -> None:
        self._model = model

    def serve(self, requests: Sequence[Request]) -> Timeline:
        pages = sum(-(-(len(request.prompt) + request.new) // _PAGE) + 1 for request in requests)
        manager = self._model.init_continuous_batching(
            generation_config=GenerationConfig(do_sample=False, eos_token_id=-1, pad_token_id=0),
            continuous_batching_config=ContinuousBatchingConfig(
                page_size=_PAGE, num_blocks=pages + 1, max_batch_tokens=_STEP_TOKENS
            ),
        )
        manager.start()
        try:
            _streamed(manager, [Request(requests[0].prompt[:_PAGE], 2)])  # the pool is made with the first request
            return _streamed(manager, requests)
        finally:
            manager.stop(block=True, timeout=_PATIENCE)
            manager.destroy()


def _streamed(manager: Any, requests: Sequence[Request]) -> Timeline:
    begun, wanted = time.perf_counter(), {}
    for request in requests:
        wanted[manager.add_request(request.prompt, max_new_tokens=request.new, streaming=True)] = request.new
    arrivals: dict[str, list[float]] = {name: [] for name in wanted}
    while wanted:
        output = manager.get_result(timeout=_PATIENCE)
        if output is None or output.error is not None:
            raise BenchmarkFailed(f"transformers' batching: {'nothing came' if output is None else output.error}")
        arrivals[output.request_id].append(time.perf_counter())
        if output.is_finished() and len(output.generated_tokens) != wanted.pop(output.request_id):
            raise BenchmarkFailed(f"transformers' batching: {len(output.generated_tokens)} tokens")
    return Timeline(begun, list(arrivals.values()))
