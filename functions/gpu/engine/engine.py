"""The engine: one model, one thread, one request at a time, first come first served.

Promises that the caller's event loop never waits for a forward pass, that a request which fails or is
abandoned hurts no other, and that the slot of an abandoned one is free within one step. Requests are decoded
one after another: simple and exact, and slower under load than a batch would be. What bounds a request's
time, and what it costs, is the caller's business.
"""

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import AsyncGenerator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from functions.gpu.engine.decoding import decode
from functions.gpu.engine.generation import Generation
from functions.gpu.engine.loader import LoadedModel
from functions.gpu.engine.protocol import (
    EngineError,
    Event,
    Finished,
    InvalidPrompt,
    PromptTooLong,
    QueueFull,
    Sampling,
)
from functions.gpu.engine.tokenizer import ChatTokenizer

TOKENIZING_THREADS = 2  # so that one long prompt does not hold up every other


class SequentialEngine:
    """An Engine (protocol.py) over a loaded model. `queue_limit` requests may wait behind the running one."""

    def __init__(self, loaded: LoadedModel, *, queue_limit: int) -> None:
        self._loaded = loaded
        self._queue_limit = queue_limit
        self._chat = ChatTokenizer(loaded.tokenizer)
        self._tokenizing = ThreadPoolExecutor(TOKENIZING_THREADS, thread_name_prefix="tokenize")
        self._changed = threading.Condition()
        self._waiting: deque[Generation] = deque()
        self._running: Generation | None = None
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)
        self._thread.start()

    @property
    def context_length(self) -> int:
        return self._loaded.context_length

    @property
    def load_seconds(self) -> Mapping[str, float]:
        """How long each phase of loading the model took."""
        return self._loaded.load_seconds

    async def tokenize(self, messages: Sequence[Mapping[str, str]]) -> list[int]:
        if self._closed:
            raise EngineError("the engine is closed")
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._tokenizing, self._chat.encode, messages)

    async def generate(self, prompt: Sequence[int], sampling: Sampling) -> AsyncGenerator[Event, None]:
        self._check(prompt, sampling)
        generation = Generation(list(prompt), sampling)
        self._enqueue(generation)
        try:
            while True:
                event = await generation.next_event()
                yield event
                if isinstance(event, Finished):
                    return
        finally:
            self._withdraw(generation)

    async def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify()
        await asyncio.to_thread(self._thread.join)
        self._tokenizing.shutdown(wait=False)  # a prompt that is being read is read to its end

    def _check(self, prompt: Sequence[int], sampling: Sampling) -> None:
        if not prompt:
            raise InvalidPrompt("the prompt is empty")
        # On a GPU one id out of range would poison the whole process, not only its request.
        if min(prompt) < 0 or max(prompt) >= self._loaded.vocabulary_size:
            raise InvalidPrompt(f"a token id is outside 0..{self._loaded.vocabulary_size - 1}")
        if len(prompt) + sampling.max_tokens > self.context_length:
            raise PromptTooLong(len(prompt), sampling.max_tokens, self.context_length)

    def _enqueue(self, generation: Generation) -> None:
        with self._changed:
            if self._closed:
                raise EngineError("the engine is closed")
            if len(self._waiting) + (self._running is not None) > self._queue_limit:
                raise QueueFull(f"{len(self._waiting)} requests are waiting, of {self._queue_limit} that may")
            self._waiting.append(generation)
            self._changed.notify()

    def _withdraw(self, generation: Generation) -> None:
        generation.abandon()
        with self._changed, contextlib.suppress(ValueError):
            self._waiting.remove(generation)

    # From here on: the engine's thread.

    def _run(self) -> None:
        try:
            while (generation := self._next()) is not None:
                last = self._serve(generation)
                with self._changed:
                    self._running = None  # whoever hears of the end finds the slot free
                if last is not None:
                    generation.post(last)
        finally:
            self._fail_everyone()

    def _next(self) -> Generation | None:
        """Wait for a request; None once the engine is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._waiting)
            if self._closed:
                return None
            self._running = self._waiting.popleft()
            return self._running

    def _serve(self, generation: Generation) -> Finished | EngineError | None:
        """Post every event but the last one, which is given back; None if nobody waits for it."""
        try:
            with contextlib.closing(decode(self._loaded, generation.prompt, generation.sampling)) as events:
                for event in events:
                    if self._closed:
                        return EngineError("the engine is closed")
                    if generation.abandoned:
                        return None
                    if isinstance(event, Finished):
                        return event
                    if event is not None:
                        generation.post(event)
        except EngineError as error:
            return error
        except Exception as error:
            return EngineError(f"the model failed: {type(error).__name__}: {error}")
        return EngineError("the generation ended without a last event")

    def _fail_everyone(self) -> None:
        with self._changed:
            self._closed = True
            unserved, self._waiting = [*self._waiting], deque()
            if self._running is not None:  # the thread itself is failing
                unserved.append(self._running)
        for generation in unserved:
            generation.post(EngineError("the engine is closed"))
