"""How a model's engine is loaded, from the settings and the table. Light, and without a ledger."""

from pathlib import Path

from functions.gpu.engine import EngineOptions, Pooling, PrefixCache, Quantization, resolve_model
from functions.gpu.weights import Weights
from penstock.models import ServedModel
from penstock.settings import GpuSettings

GIB = 1 << 30


def engine_options(settings: GpuSettings, model: ServedModel) -> EngineOptions:
    """The options. Where weights are pulled beforehand, only those are looked for. Raises ModelUnreadable."""
    return EngineOptions(
        _folder(settings, model),
        dtype=model.dtype,
        device=settings.device,
        threads=settings.threads,
        context_length=model.context_length,
        quantization=Quantization(model.quantization),
        pooling=None if model.embeddings is None else Pooling(model.embeddings.pooling),
        queue_limit=settings.max_waiting,
        max_running=settings.max_running,
        step_tokens=settings.step_tokens,
        stretch=settings.stretch,
        kv_bytes=None if settings.kv_gib is None else int(settings.kv_gib * GIB),
        prefix_cache=PrefixCache(settings.prefix_cache),
    )


def _folder(settings: GpuSettings, model: ServedModel) -> Path:
    if settings.weights is not None:
        return Weights(settings.weights).find(model)
    return resolve_model(model.source, model.revision, cache=settings.model_cache, offline=settings.offline)
