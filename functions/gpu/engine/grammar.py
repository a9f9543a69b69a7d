"""Grammars: the form that an answer must have, to what holds the model to it.

Promises that a grammar is compiled or refused within a bound, with one line in words for whoever wrote it,
and never at the cost of another request: Python's other threads go on meanwhile. JSON is written without
white space. A keyword of JSON Schema that is not supported is refused by its name, and so is a reference to
another document; words that JSON Schema does not know mean nothing, as it says. Not covered: a schema that
no finite answer fits is not always found, and then the answer ends at max_tokens.
"""

import threading
from collections import OrderedDict
from typing import Any

from llguidance import LLMatcher
from llguidance.hf import from_tokenizer

from functions.gpu.engine.grammar_source import write
from functions.gpu.engine.matcher import Automaton, MaskWorkers, Matcher
from functions.gpu.engine.protocol import GrammarKind, GrammarSpec, InvalidGrammar
from functions.gpu.engine.trial import Trial
from functions.gpu.engine.trial_process import LIMITS

CACHED = 32  # compiled grammars, some of which grow to tens of megabytes
LINE = 200  # characters of llguidance's messages that are passed on
NAMES = {
    GrammarKind.JSON_OBJECT: "any JSON object",
    GrammarKind.JSON_SCHEMA: "the JSON schema",
    GrammarKind.REGEX: "the regular expression",
    GrammarKind.CHOICE: "the list of choices",
}


class CompiledGrammar:
    """A Grammar (protocol.py); several threads may use it."""

    def __init__(self, spec: GrammarSpec, automaton: Automaton, workers: MaskWorkers) -> None:
        self._spec = spec
        self._automaton = automaton
        self._workers = workers

    @property
    def spec(self) -> GrammarSpec:
        return self._spec

    @property
    def failed(self) -> bool:
        """Whether a choice failed on it; then it is better compiled anew."""
        return self._automaton.failed

    def matcher(self) -> Matcher:
        """The beginning of one choice."""
        return Matcher(self._automaton, self._workers)


class Grammars:
    """Compiles grammars for one model, and keeps the last ones. Several threads may use it.

    `vocabulary_size` is the number of logits. `end_ids` are the tokens that end an answer: they may come where
    the grammar may end, and no other special token ever may.
    """

    def __init__(self, tokenizer: Any, vocabulary_size: int, end_ids: frozenset[int]) -> None:
        self._tokenizer = tokenizer
        self._vocabulary_size = vocabulary_size
        self._end_ids = end_ids
        self._vocabulary: Any = None  # llguidance's
        self._preparing = threading.Lock()
        self._compiled: OrderedDict[GrammarSpec, CompiledGrammar] = OrderedDict()
        self._lock = threading.Lock()
        self._trial = Trial()
        self._workers = MaskWorkers()

    def prepare(self) -> None:
        """Read the vocabulary, which the first `compile` does otherwise. Raises InvalidGrammar.

        Python's other threads wait for it: some 0.8 s with 128,000 tokens.
        """
        with self._preparing:
            if self._vocabulary is None:
                self._vocabulary = self._read_vocabulary()

    def compile(self, spec: GrammarSpec) -> CompiledGrammar:
        """A grammar ready for use; blocks. The same spec gives the same one. Raises InvalidGrammar."""
        found = self._find(spec)
        if found is not None:
            return found
        source = write(spec)
        self.prepare()
        root = self._build(spec, source)
        automaton = Automaton(root, self._vocabulary.vocab_size, self._vocabulary_size)
        return self._keep(CompiledGrammar(spec, automaton, self._workers))

    def close(self) -> None:
        """Compile no more, and compute no more masks."""
        self._trial.close()
        self._workers.close()

    def _build(self, spec: GrammarSpec, source: str) -> Any:
        fault = self._trial.check(source)
        root = None if fault else LLMatcher(self._vocabulary, source, log_level=0, limits=LIMITS)
        if root is not None:
            fault = root.get_error()
        if fault:
            raise InvalidGrammar(f"{NAMES[spec.kind]} cannot be used: {_plainly(fault)}")
        return root

    def _read_vocabulary(self) -> Any:
        size = max(self._vocabulary_size, 1 + max(self._tokenizer.get_vocab().values()))
        ends = sorted(token for token in self._end_ids if 0 <= token < size)
        if not ends:
            raise InvalidGrammar("this model has no token that ends an answer, so that no grammar can be held to")
        try:
            return from_tokenizer(self._tokenizer, n_vocab=size, eos_token=ends)
        except ValueError as error:
            raise InvalidGrammar(f"this model's tokenizer cannot be held to a grammar: {error}") from error

    def _find(self, spec: GrammarSpec) -> CompiledGrammar | None:
        with self._lock:
            found = self._compiled.get(spec)
            if found is None or found.failed:
                return None
            self._compiled.move_to_end(spec)
            return found

    def _keep(self, compiled: CompiledGrammar) -> CompiledGrammar:
        """Remember a grammar, unless another thread was faster."""
        with self._lock:
            found = self._compiled.get(compiled.spec)
            if found is not None and not found.failed:
                return found
            self._compiled[compiled.spec] = compiled
            self._compiled.move_to_end(compiled.spec)
            if len(self._compiled) > CACHED:
                self._compiled.popitem(last=False)
            return compiled


def _plainly(fault: str) -> str:
    """llguidance's message in one line, for whoever wrote the grammar."""
    lines = [line.strip() for line in fault.splitlines() if line.strip()]
    line = next((line for line in lines if line.startswith("error: ")), lines[0]).removeprefix("error: ")
    if line.startswith("Resource '"):
        line = f"a reference to another document: {line.split(chr(39))[1]}"
    if line.startswith("NoExtension"):
        line = "nothing fits it"
    return line.replace("Unimplemented keys:", "unsupported keywords:")[:LINE]
