"""Embeddings: what transformers' hidden states give, however the text was cut and whoever decodes beside it."""

import asyncio
from typing import Any

import pytest
import torch

from functions.gpu.engine.loader import LoadedModel
from functions.gpu.engine.options import Pooling
from functions.gpu.engine.protocol import EngineError, Sampling
from tests.unit.gpu.engine.conftest import MakeEngine
from tests.unit.gpu.engine.transcripts import collect

pytestmark = pytest.mark.anyio

TEXTS = [[20 + n % 200 for n in range(length)] for length in (1, 5, 33, 120)]


def plainly(model: Any, text: list[int], pooling: Pooling, dimensions: int | None) -> Any:
    with torch.inference_mode():
        hidden = model.base_model(torch.tensor([text]), use_cache=False).last_hidden_state[0].float()
    pooled = hidden.mean(0) if pooling is Pooling.MEAN else hidden[-1]
    return torch.nn.functional.normalize(pooled[:dimensions], dim=0)


@pytest.mark.parametrize("pooling", Pooling)
@pytest.mark.parametrize("dimensions", [None, 7])
async def test_embeddings_are_the_pooled_hidden_states(
    tiny: LoadedModel, make_engine: MakeEngine, pooling: Pooling, dimensions: int | None
) -> None:
    engine = make_engine(tiny, pooling=pooling, step_tokens=16, max_running=8, queue_limit=50)
    crowd = [asyncio.create_task(collect(engine.generate([[9 + n]], Sampling(max_tokens=40)))) for n in range(4)]
    vectors = await engine.embed(TEXTS, dimensions=dimensions)
    await asyncio.gather(*crowd)
    for text, vector in zip(TEXTS, vectors, strict=True):
        wanted = plainly(tiny.model, text, pooling, dimensions)
        assert torch.allclose(torch.tensor(vector), wanted, atol=1e-5)
        assert sum(number * number for number in vector) == pytest.approx(1, abs=1e-5)
    assert engine.figures().pages_used == 0


async def test_what_cannot_be_embedded_is_refused(tiny: LoadedModel, make_engine: MakeEngine) -> None:
    with pytest.raises(EngineError, match="no embeddings"):
        await make_engine(tiny).embed([[5]])
    with pytest.raises(EngineError, match="dimensions"):
        await make_engine(tiny, pooling=Pooling.MEAN).embed([[5]], dimensions=33)
