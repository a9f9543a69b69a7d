"""The engine's work, a step at a time: plan, compute, pick, tell. Synchronous; one thread calls it.

Promises that what fails takes only its own request with it: a forward pass that raises is repeated in halves
until the sequence at fault is alone, logits that are not numbers end the one they belong to, and a grammar
whose mask is late lets its sequence sit out while the others go on. What a step has to say is given back as
events; sending them is the caller's.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import torch

from functions.gpu.engine.embedding import Embedding
from functions.gpu.engine.generation import Embedded, Generation, Post, Posted
from functions.gpu.engine.kv_cache import KvCache
from functions.gpu.engine.logprobs import score
from functions.gpu.engine.meters import Meters
from functions.gpu.engine.protocol import (
    Candidate,
    Delta,
    EngineError,
    Finished,
    FinishReason,
    Prefilled,
    TokenLogprobs,
)
from functions.gpu.engine.runner import Computed, Runner
from functions.gpu.engine.sampler import Picked, Sampler
from functions.gpu.engine.scheduler import Row, Scheduler
from functions.gpu.engine.sequence import Sequence


class Stepper:
    """One model at work on many sequences."""

    def __init__(
        self,
        *,
        scheduler: Scheduler,
        runner: Runner,
        cache: KvCache,
        sampler: Sampler,
        embedding: Embedding | None,
        bytes_of: Callable[[int], bytes],
        meters: Meters,
    ) -> None:
        self._scheduler = scheduler
        self._runner = runner
        self._cache: Any = cache
        self._sampler: Any = sampler
        self._embedding = embedding
        self._bytes_of = bytes_of
        self._meters = meters
        self._held: dict[Sequence, Any] = {}  # logits of those whose mask is late
        self._posts: list[Post] = []

    @property
    def busy(self) -> bool:
        """Whether there is anything to do."""
        return bool(self._scheduler.running or self._scheduler.waiting)

    def step(self) -> list[Post]:
        """One step of all that runs; what there is to tell."""
        with self._meters.phase("plan"):
            plan = self._scheduler.plan()
            for sequence in plan.begun:
                self._meters.begun(sequence)
            rows = sorted(plan.decoding, key=lambda row: -row.end) + plan.reading
        with self._meters.phase("forward"):
            self._cache.wipe(plan.pages)
            computed = self._compute(rows, len(plan.decoding))
        with self._meters.phase("sample"):
            picked = self._pick([self._read_out(one) for one in computed])
        with self._meters.phase("emit"):
            for sequence, pick in picked:
                self._take(sequence, pick)
            self._meters.stepped(len(plan.decoding), sum(row.end - row.start for row in plan.reading))
            return self._told()

    @property
    def waits(self) -> bool:
        """Whether masks are all that some sequences wait for."""
        return bool(self._held)

    def add(self, generation: Generation) -> None:
        """Take a request in: the first choice of each of its prompts waits for its turn."""
        for sequence in generation.sequences:
            if sequence.index % sequence.sampling.n == 0:
                self._scheduler.waiting.add(sequence)

    def cancel(self, generation: Generation) -> None:
        """Take a request out; its pages are free when this returns."""
        for sequence in generation.sequences:
            self._drop(sequence)
        generation.sequences.clear()
        self._meters.gone(generation)

    def fail_all(self, error: EngineError) -> list[Post]:
        """End everything that runs or waits."""
        for sequence in [*self._scheduler.running, *self._scheduler.waiting.sequences()]:
            self._fail(sequence, error)
        return self._told()

    def close(self) -> None:
        """Let go of the memory."""
        self._held.clear()
        self._cache = self._sampler = None

    # Compute.

    def _compute(self, rows: list[Row], decoding: int) -> list[Computed]:
        """The rows' forward pass, or several, where one fails; who fails alone is out."""
        if not rows:
            return []
        try:
            computed = [self._runner.run(rows, decoding)]
        except Exception as error:
            if len(rows) == 1:
                reason = f"{type(error).__name__}: {error}"
                self._fail(rows[0].sequence, EngineError(f"the model failed: {reason}"))
                self._runner.check()
                return []
            half = len(rows) // 2
            first = self._compute(rows[:half], min(decoding, half))
            first = [replace(one, logits=one.logits.clone()) for one in first]  # the next pass may reuse them
            rest, left = _alive(rows[half:]), len(_alive(rows[half:decoding]))
            return first + self._compute(rest, left)
        self._scheduler.computed(rows)
        return computed

    def _read_out(self, computed: Computed) -> tuple[list[Sequence], Any]:
        """Who gets a token now, and the logits of each, [R, vocabulary]. Deals with prompts that are read."""
        if computed.hidden is not None:
            self._pool(computed)
        sequences: list[Sequence] = []
        places: list[int] = []
        at = 0
        for row, wanted in computed.batch.kept:
            sequence = row.sequence
            if sequence.sampling.prompt_logprobs is not None:
                self._score(row, computed.logits[at : at + wanted])
            at += wanted
            if row.samples and sequence.generation.alive and sequence not in self._held:
                family = self._family(sequence)
                sequences += family
                places += [at - 1] * len(family)
        logits = computed.logits
        if places != list(range(logits.shape[0])):
            logits = logits[torch.tensor(places, dtype=torch.int64, device=logits.device)]
        return sequences, logits

    def _family(self, sequence: Sequence) -> list[Sequence]:
        """The sequence, and where its prompt has just been read, its siblings, which go on from there."""
        if sequence.prefilled:
            return [sequence]
        sequence.prefilled = True
        self._post(
            sequence,
            Prefilled(
                sequence.prompt_index, len(sequence.prompt), sequence.cached_tokens, tuple(sequence.prompt_logprobs)
            ),
        )
        self._meters.prefilled(sequence)
        siblings, sequence.siblings = sequence.siblings, []
        for sibling in siblings:
            sibling.begun = sibling.prefilled = True
            copy = self._scheduler.fork(sequence, sibling)
            if copy is not None:
                self._cache.copy(*copy)
        family = [sequence, *siblings]
        if sequence.sampling.max_tokens == 0:
            for one in family:
                self._finish(one, FinishReason.LENGTH)
            return []
        return family

    def _score(self, row: Row, logits: Any) -> None:
        """The logprobs of a chunk's prompt tokens: each position tells of the token behind it."""
        sequence, top = row.sequence, row.sequence.sampling.prompt_logprobs or 0
        if not row.start:
            first = sequence.prompt[0]
            sequence.prompt_logprobs = [TokenLogprobs(Candidate(first, self._bytes_of(first), None), ())]
        missing = len(sequence.prompt) - len(sequence.prompt_logprobs)
        targets = sequence.prompt[row.start + 1 : row.end + 1][:missing]
        try:
            scored = score(logits[: len(targets)], targets, top)
        except EngineError as error:
            self._fail(sequence, error)
            return
        for token, (logprob, others) in zip(targets, scored, strict=True):
            sequence.prompt_logprobs.append(self._logprobs(token, logprob, others))

    def _pool(self, computed: Computed) -> None:
        """Pool the hidden states of texts; those read to their end are embedded."""
        assert self._embedding is not None  # noqa: S101  (else no sequence embeds)
        at = 0
        for row in computed.batch.rows:
            sequence, count = row.sequence, row.end - row.start
            if sequence.embeds and sequence.generation.alive:
                self._embedding.add(sequence, computed.hidden[at : at + count])
                if row.samples:
                    self._embedded(sequence)
            at += count

    def _embedded(self, sequence: Sequence) -> None:
        assert self._embedding is not None  # noqa: S101
        vector = self._embedding.vector(sequence, sequence.generation.dimensions)
        if vector is None:
            self._fail(sequence, EngineError("the model gave hidden states that are not numbers"))
            return
        self._meters.prefilled(sequence)
        self._post(sequence, Embedded(sequence.prompt_index, vector))
        self._end(sequence)

    # Pick.

    def _pick(self, parts: list[tuple[list[Sequence], Any]]) -> list[tuple[Sequence, Picked | EngineError]]:
        """A token for everybody whose logits are here and whose grammar is ready."""
        parts = [part for part in [*parts, self._held_logits()] if part[0]]
        if not parts:
            return []
        sequences = [sequence for own, _ in parts for sequence in own]
        logits = parts[0][1] if len(parts) == 1 else torch.cat([part[1] for part in parts])
        ready = [place for place, sequence in enumerate(sequences) if self._masked(sequence, logits[place])]
        ready = [place for place in ready if sequences[place].generation.alive]  # a sibling's mask may have failed
        if len(ready) < len(sequences):
            sequences = [sequences[place] for place in ready]
            logits = logits[torch.tensor(ready, dtype=torch.int64, device=logits.device)]
        return list(zip(sequences, self._sample(logits, sequences), strict=True)) if sequences else []

    def _held_logits(self) -> tuple[list[Sequence], Any]:
        held = {one: logits for one, logits in self._held.items() if one.matcher.ready()}
        for sequence in held:
            del self._held[sequence]
        return list(held), torch.stack(list(held.values())) if held else None

    def _masked(self, sequence: Sequence, logits: Any) -> bool:
        """Give the sequence its grammar's mask. False where it gets no token now."""
        matcher = sequence.matcher
        if matcher is None or not sequence.generation.alive:
            return matcher is None
        if not matcher.ready():
            self._held[sequence] = logits.clone()
            return False
        try:
            sequence.mask = matcher.take()
        except Exception as error:
            known = isinstance(error, EngineError)
            self._fail(sequence, error if known else EngineError(f"the grammar failed: {error}"))  # type: ignore[arg-type]
            return False
        if matcher.done:
            self._finish(sequence, FinishReason.STOP)
        return not matcher.done

    def _sample(self, logits: Any, sequences: list[Sequence]) -> list[Picked | EngineError]:
        try:
            return self._sampler.pick(logits, sequences)
        except Exception as error:
            if len(sequences) == 1:
                return [EngineError(f"no token could be picked: {type(error).__name__}: {error}")]
            return [
                pick for place, one in enumerate(sequences) for pick in self._sample(logits[place : place + 1], [one])
            ]

    # Tell.

    def _take(self, sequence: Sequence, pick: Picked | EngineError) -> None:
        """Add a picked token to its sequence, and tell what it says."""
        if not sequence.generation.alive:
            return  # a sibling's token could not be picked
        if isinstance(pick, EngineError):
            self._fail(sequence, pick)
            return
        token, text, sampling = pick.token, sequence.text, sequence.sampling
        sequence.output.append(token)
        self._meters.token(sequence)
        if token in sequence.end_ids or token in sampling.stop_token_ids:
            self._finish(sequence, FinishReason.STOP)
            return
        new = text.push(token)
        logprobs = () if pick.logprob is None else (self._logprobs(token, pick.logprob, pick.top),)
        self._post(sequence, Delta(new, len(sequence.output), sequence.index, logprobs))
        if text.stopped:
            self._finish(sequence, FinishReason.STOP)
        elif len(sequence.output) >= sampling.max_tokens:
            self._finish(sequence, FinishReason.LENGTH)
        elif sequence.matcher is not None:
            sequence.matcher.start(token)

    def _finish(self, sequence: Sequence, reason: FinishReason) -> None:
        """End a choice with the text still held back, which may complete a stop string."""
        count = len(sequence.output)
        if not sequence.text.stopped and (rest := sequence.text.finish()):
            self._post(sequence, Delta(rest, count, sequence.index))
        if sequence.text.stopped:
            reason = FinishReason.STOP
        self._post(sequence, Finished(reason, count, sequence.index))
        self._end(sequence)

    def _fail(self, sequence: Sequence, error: EngineError) -> None:
        """End the whole request of a sequence at fault."""
        generation: Generation = sequence.generation
        if not generation.alive:
            return  # a sibling has failed it already
        for one in generation.sequences:
            self._drop(one, spoilt=True)
        generation.sequences.clear()
        self._meters.gone(generation)
        self._meters.failed()
        self._posts.append((generation, error))

    def _end(self, sequence: Sequence) -> None:
        self._drop(sequence)
        sequence.generation.sequences.remove(sequence)

    def _drop(self, sequence: Sequence, *, spoilt: bool = False) -> None:
        self._scheduler.leave(sequence, spoilt=spoilt)
        self._sampler.forget(sequence)
        self._held.pop(sequence, None)

    def _logprobs(self, token: int, logprob: float, others: Iterable[tuple[int, float]]) -> TokenLogprobs:
        top = tuple(Candidate(other, self._bytes_of(other), value) for other, value in others)
        return TokenLogprobs(Candidate(token, self._bytes_of(token), logprob), top)

    def _post(self, sequence: Sequence, event: Posted) -> None:
        self._posts.append((sequence.generation, event))

    def _told(self) -> list[Post]:
        posts, self._posts = self._posts, []
        return posts


def _alive(rows: list[Row]) -> list[Row]:
    """Without those whose request has failed in this step."""
    return [row for row in rows if row.sequence.generation.alive]
