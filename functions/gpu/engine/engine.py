"""The engine: many requests, one batch that changes at every step, one thread that makes the steps.

Promises that the caller's event loop never waits for a forward pass, that a request which fails or is
abandoned hurts no other, and that what an abandoned one held is free within one step. What bounds a
request's time, and what it costs, is the caller's business.
"""

import asyncio
import contextlib
import random
import threading
import time
from array import array
from collections.abc import AsyncGenerator, Mapping
from collections.abc import Sequence as Many
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import Any

import torch

from functions.gpu.engine.answer_text import AnswerText
from functions.gpu.engine.figures import Figures
from functions.gpu.engine.generation import Embedded, Generation, deliver
from functions.gpu.engine.grammar import CompiledGrammar, Grammars
from functions.gpu.engine.loader import LoadedModel, ReadModel
from functions.gpu.engine.machine import Machine
from functions.gpu.engine.options import EngineOptions, PrefixCache
from functions.gpu.engine.protocol import (
    EngineError,
    Event,
    Finished,
    Grammar,
    GrammarSpec,
    InvalidGrammar,
    InvalidPrompt,
    PromptTooLong,
    Sampling,
)
from functions.gpu.engine.sequence import Sequence
from functions.gpu.engine.text_tokenizer import TextTokenizer
from functions.gpu.engine.tokenizer import ChatTokenizer

TOKENIZING_THREADS = 2  # so that one long prompt does not hold up every other
COMPILING_THREADS = 1
WAIT_S = 0.0005  # for a grammar's mask, when nothing else is to be done


class ContinuousEngine:
    """An Engine (protocol.py) over a loaded model. Making it takes memory, and tries the model out.

    `grammars` are the model's, where they are prepared already. Raises ModelUnreadable.
    """

    def __init__(self, loaded: LoadedModel, options: EngineOptions, grammars: Grammars | None = None) -> None:
        self._prefix_cache = options.prefix_cache
        self._machine = Machine(loaded, options)
        self._vocabulary = loaded.vocabulary
        self._vocabulary_size = loaded.vocabulary_size
        self._end_ids = loaded.end_ids
        self._context_length = min(loaded.context_length, self._machine.capacity)
        self._chat = ChatTokenizer(loaded.tokenizer)
        self._plain = TextTokenizer(loaded.tokenizer.backend_tokenizer)
        self._grammars = grammars or prepare_grammars(loaded)
        self._tokenizing = ThreadPoolExecutor(TOKENIZING_THREADS, thread_name_prefix="tokenize")
        self._compiling = ThreadPoolExecutor(COMPILING_THREADS, thread_name_prefix="compile")
        self._changed = threading.Condition()
        self._submitted: list[Generation] = []
        self._abandoned: list[Generation] = []
        self._numbers = count()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)
        self._thread.start()

    @property
    def context_length(self) -> int:
        return self._context_length

    @property
    def vocabulary_size(self) -> int:
        return self._vocabulary_size

    @property
    def embedding_size(self) -> int | None:
        return self._machine.embedding_size

    @property
    def load_seconds(self) -> Mapping[str, float]:
        """How long each phase of loading the model took."""
        return self._machine.load_seconds

    @property
    def phases(self) -> Mapping[str, float]:
        """Seconds that each part of all steps took so far, and under `steps` how many there were."""
        return self._machine.meters.phases

    @property
    def alive(self) -> bool:
        """Whether it works: not closed, and not ended by a device that broke."""
        return not self._closed

    def figures(self) -> Figures:
        return self._machine.meters.figures()

    async def tokenize(self, messages: Many[Mapping[str, str]]) -> list[int]:
        return await self._in(self._tokenizing, self._chat.encode, messages)

    async def encode(self, text: str) -> list[int]:
        return await self._in(self._tokenizing, self._plain.encode, text)

    async def decode(self, tokens: Many[int]) -> str:
        return await self._in(self._tokenizing, self._plain.decode, tokens)

    async def compile(self, spec: GrammarSpec) -> Grammar:
        return await self._in(self._compiling, self._grammars.compile, spec)

    async def generate(
        self, prompts: Many[Many[int]], sampling: Sampling, *, owner: str = ""
    ) -> AsyncGenerator[Event, None]:
        self._check(prompts, sampling)
        generation = Generation(owner)
        for place, prompt in enumerate(prompts):
            self._add_choices(generation, place, list(prompt), sampling)
        left = len(generation.sequences)
        self._submit(generation)
        try:
            while left:
                event = await generation.next()
                left -= isinstance(event, Finished)
                yield event  # type: ignore[misc]  # nothing else is posted to it
        finally:
            self._withdraw(generation)

    async def embed(
        self, prompts: Many[Many[int]], *, dimensions: int | None = None, owner: str = ""
    ) -> list["array[float]"]:
        if self.embedding_size is None:
            raise EngineError("this model gives no embeddings")
        if dimensions is not None and not 1 <= dimensions <= self.embedding_size:
            raise EngineError(f"{dimensions} dimensions are not between 1 and {self.embedding_size}")
        sampling = Sampling(max_tokens=0)
        self._check(prompts, sampling)
        generation = Generation(owner)
        generation.dimensions = dimensions
        for place, prompt in enumerate(prompts):
            generation.sequences.append(
                Sequence(list(prompt), sampling, place, owner=owner, embeds=True, generation=generation)
            )
        self._submit(generation)
        vectors: dict[int, array[float]] = {}
        try:
            while len(vectors) < len(prompts):
                event = await generation.next()
                assert isinstance(event, Embedded)  # noqa: S101  (nothing else is posted to it)
                vectors[event.prompt] = event.vector
        finally:
            self._withdraw(generation)
        return [vectors[place] for place in range(len(prompts))]

    async def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify()
        await asyncio.to_thread(self._thread.join)
        self._tokenizing.shutdown(wait=False)  # a prompt that is being read is read to its end
        self._compiling.shutdown(wait=False)
        await asyncio.to_thread(self._grammars.close)

    async def _in(self, pool: ThreadPoolExecutor, function: Any, argument: Any) -> Any:
        if self._closed:
            raise EngineError("the engine is closed")
        return await asyncio.get_running_loop().run_in_executor(pool, function, argument)

    def _check(self, prompts: Many[Many[int]], sampling: Sampling) -> None:
        if not prompts:
            raise InvalidPrompt("there is no prompt")
        for prompt in prompts:
            if not prompt:
                raise InvalidPrompt("the prompt is empty")
            if len(prompt) + sampling.max_tokens > self.context_length:
                raise PromptTooLong(len(prompt), sampling.max_tokens, self.context_length)
            self._check_ids(prompt)
        self._check_ids([*sampling.logit_bias, *sampling.stop_token_ids])

    def _check_ids(self, ids: Many[int]) -> None:
        # On a GPU one id out of range would poison the whole process, not only its request.
        if ids and (min(ids) < 0 or max(ids) >= self.vocabulary_size):
            raise InvalidPrompt(f"a token id is outside 0..{self.vocabulary_size - 1}")

    def _add_choices(self, generation: Generation, place: int, prompt: list[int], sampling: Sampling) -> None:
        """The choices of one prompt: the first reads it, the others begin where it ends."""
        mode = self._prefix_cache
        choices = [
            Sequence(
                prompt,
                sampling,
                place,
                index,
                owner=generation.owner,
                salt=generation.owner.encode() if mode is PrefixCache.OWNER else b"",
                cacheable=mode is not PrefixCache.OFF,
                random=_random(sampling.seed, index),
                # An answer that a grammar has completed can only end.
                end_ids=frozenset() if sampling.ignore_eos and sampling.grammar is None else self._end_ids,
                generation=generation,
                text=AnswerText(self._vocabulary, sampling),
                matcher=_matcher(sampling.grammar),
            )
            for index in range(place * sampling.n, (place + 1) * sampling.n)
        ]
        choices[0].siblings = choices[1:]
        generation.sequences += choices

    def _submit(self, generation: Generation) -> None:
        with self._changed:
            if self._closed:
                raise EngineError("the engine is closed")
            self._machine.places.take(generation.owner)
            number = next(self._numbers)
            for sequence in generation.sequences:
                sequence.order = (number, sequence.index)
            self._submitted.append(generation)
            self._changed.notify()

    def _withdraw(self, generation: Generation) -> None:
        with self._changed:
            self._abandoned.append(generation)
            self._changed.notify()

    # From here on: the engine's thread.

    @torch.inference_mode()
    def _run(self) -> None:
        stepper = self._machine.stepper
        try:
            while self._take_in():
                posts = stepper.step()
                for lost in deliver(posts):
                    stepper.cancel(lost)
                if not posts and stepper.waits:
                    time.sleep(WAIT_S)
            self._end(EngineError("the engine is closed"))
        except Exception as error:  # a device that answers nothing any more, or an error of ours
            self._end(EngineError(f"the engine broke: {type(error).__name__}: {error}"))

    def _take_in(self) -> bool:
        """Take in what was submitted and withdrawn, waiting for work; False once the engine is closed."""
        stepper = self._machine.stepper
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._submitted or self._abandoned or stepper.busy)
            submitted, self._submitted = self._submitted, []
            abandoned, self._abandoned = self._abandoned, []
        for generation in submitted:
            stepper.add(generation)
        for generation in abandoned:
            stepper.cancel(generation)
        return not self._closed

    def _end(self, error: EngineError) -> None:
        with self._changed:
            self._closed = True
            submitted, self._submitted = self._submitted, []
        deliver([*self._machine.stepper.fail_all(error), *((generation, error) for generation in submitted)])
        self._machine.close()


def prepare_grammars(model: LoadedModel | ReadModel) -> Grammars:
    """A model's grammars. Their vocabulary is read now: it stops the process for a second where it is large."""
    began = time.perf_counter()
    grammars = Grammars(model.tokenizer, model.vocabulary_size, model.end_ids)
    with contextlib.suppress(InvalidGrammar):  # `compile` says it again to whoever asks
        grammars.prepare()
    model.load_seconds["grammar"] = time.perf_counter() - began
    return grammars


def _random(seed: int | None, index: int) -> random.Random:
    """A choice's own random numbers; siblings of one seed draw different ones."""
    return random.Random() if seed is None else random.Random(f"{seed}/{index}")


def _matcher(grammar: Grammar | None) -> Any:
    """A choice's own place in the grammar, with its first mask under way."""
    if grammar is None:
        return None
    assert isinstance(grammar, CompiledGrammar)  # noqa: S101  (what `compile` gave)
    matcher = grammar.matcher()
    matcher.start(None)
    return matcher
