"""The parts of an engine, put together: memory for keys and values, a runner, a scheduler, a sampler.

Making one tries the model out: its attention is proven, kernels are warmed up and, on CUDA, recorded. What
that takes is added to the model's `load_seconds`. What goes wrong, a device without enough memory among it, is
one ModelUnreadable of one line.
"""

import time
from contextlib import AbstractContextManager

import torch

from functions.gpu.engine.embedding import Embedding
from functions.gpu.engine.kv_cache import KvCache, Shape, pages_for
from functions.gpu.engine.loader import LoadedModel
from functions.gpu.engine.meters import Meters
from functions.gpu.engine.options import EngineOptions
from functions.gpu.engine.pace import Pace
from functions.gpu.engine.pages import PagePool
from functions.gpu.engine.phases import phase
from functions.gpu.engine.places import Places
from functions.gpu.engine.protocol import Sampling
from functions.gpu.engine.runner import Runner
from functions.gpu.engine.sampler import Sampler
from functions.gpu.engine.scheduler import Row, Scheduler
from functions.gpu.engine.sequence import Sequence
from functions.gpu.engine.stepper import Stepper
from functions.gpu.engine.varlen import PAGE_TOKENS

CPU_PAGE = 16  # tokens
GPU_LEAST, CPU_LEAST = 256, 16  # tokens of prompts in a step
WARM_TOKENS = 64


class Machine:
    """One model, ready to step. `close` lets go of it."""

    @torch.inference_mode()
    def __init__(self, loaded: LoadedModel, options: EngineOptions) -> None:
        self.load_seconds, self._folder = loaded.load_seconds, options.folder
        cuda = loaded.device.type == "cuda"
        config = loaded.model.config.get_text_config()
        page_tokens = options.page_tokens or (PAGE_TOKENS if cuda else CPU_PAGE)
        self.places = Places(options.queue_limit)
        with self._phase("keys and values"):
            shape = Shape.of(config, page_tokens, loaded.dtype)
            longest = -(-loaded.context_length // page_tokens)
            most = max(2, longest) * options.max_running
            pages = pages_for(shape, loaded.device, kv_bytes=options.kv_bytes, most=most)
            cache = KvCache(shape, pages, loaded.device)
        self.capacity = pages * page_tokens  # tokens
        self._runner = Runner(loaded, cache)
        with self._phase("attention"):
            self._runner.prove()
        with self._phase("graphs"):
            self._runner.capture(options.max_running, min(loaded.context_length, self.capacity))
        pace = Pace(stretch=options.stretch, step_tokens=options.step_tokens, least=GPU_LEAST if cuda else CPU_LEAST)
        scheduler = Scheduler(PagePool(pages), pace, page_tokens=page_tokens, max_running=options.max_running)
        self.meters = Meters(scheduler, pace, self.places, page_tokens)
        with self._phase("warm-up"):
            self._warm_up(pace, cache, min(WARM_TOKENS, self.capacity - 1))
        pooling = options.pooling
        self.embedding_size = None if pooling is None else int(config.hidden_size)
        self.stepper = Stepper(
            scheduler=scheduler,
            runner=self._runner,
            cache=cache,
            sampler=Sampler(loaded.vocabulary_size, loaded.device),
            embedding=None if pooling is None else Embedding(pooling),
            bytes_of=loaded.vocabulary.bytes_of,
            meters=self.meters,
        )

    def close(self) -> None:
        """Let go of the model and of the memory."""
        self._runner.close()
        self.stepper.close()

    def _phase(self, name: str) -> AbstractContextManager[None]:
        return phase(name, self._folder, self.load_seconds)

    def _warm_up(self, pace: Pace, cache: KvCache, tokens: int) -> None:
        """Run a prompt and a token, and learn what they take; the first time also warms the libraries up."""
        pages = list(range(-(-(tokens + 1) // cache.shape.page_tokens)))
        cache.wipe(pages)
        sequence = Sequence([1] * tokens, Sampling(max_tokens=1), output=[1], pages=pages)
        for learns in (False, True):
            for rows, decoding in (([Row(sequence, 0, tokens)], 0), ([Row(sequence, tokens, tokens + 1)], 1)):
                began = time.perf_counter()
                self._runner.run(rows, decoding).logits.sum().item()
                if learns:
                    pace.observe(decoding, 0 if decoding else tokens, time.perf_counter() - began)
