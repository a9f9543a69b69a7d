"""Embeddings, end to end, through OpenAI's own client, of a model that gives them."""

import base64
import math
import struct
from collections.abc import Iterator
from typing import Any

import openai
import pytest

from tests.e2e.pair import Pair, pair
from tests.e2e.service import Service
from tests.integration.gpu.running import TABLE
from tests.tiny_model import make_tiny_model

HIDDEN = 32
TEXTS = ["The gate is the edge.", "The meter is exact.", "The gate is the edge."]


@pytest.fixture(scope="module")
def embedding(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """A tiny model that embeds."""
    folder = tmp_path_factory.mktemp("embedding")
    make_tiny_model(folder / "tiny")
    embeds = 'context_length = 256\nembeddings = { pooling = "mean", dimensions = [8] }\n'
    with pair(folder, TABLE.replace("context_length = 256\n", embeds)) as running:
        yield running


def test_each_text_has_its_own_and_the_ledger_their_tokens(embedding: Pair) -> None:
    answer = embedding.client.embeddings.create(model="tiny", input=TEXTS)  # the client asks for base64
    vectors = [one.embedding for one in answer.data]
    assert [one.index for one in answer.data] == [0, 1, 2]
    assert [len(vector) for vector in vectors] == [HIDDEN] * 3
    assert all(math.isclose(math.hypot(*vector), 1, rel_tol=1e-5) for vector in vectors)
    assert vectors[0] == pytest.approx(vectors[2], abs=1e-5)
    assert vectors[0] != pytest.approx(vectors[1], abs=1e-2)
    (record,) = [record for record in embedding.records() if record.usage.prompt_tokens == answer.usage.prompt_tokens]
    assert record.usage.completion_tokens == 0
    assert record.nano == answer.usage.prompt_tokens * 100
    assert answer.usage.total_tokens == answer.usage.prompt_tokens


def test_both_forms_are_the_same_numbers(embedding: Pair) -> None:
    def ask(**form: Any) -> Any:
        return embedding.client.embeddings.create(model="tiny", input=TEXTS[0], **form).data[0].embedding

    coded, plain, decoded = ask(encoding_format="base64"), ask(encoding_format="float"), ask()
    assert struct.unpack(f"<{HIDDEN}f", base64.b64decode(coded)) == pytest.approx(plain, abs=1e-5)
    assert decoded == pytest.approx(plain, abs=1e-5)


def test_token_ids_are_read_as_they_are(embedding: Pair) -> None:
    answer = embedding.client.embeddings.create(model="tiny", input=[[5, 6, 7], [8]])
    assert len(answer.data) == 2
    assert answer.usage.prompt_tokens == 4
    with pytest.raises(openai.BadRequestError) as refusal:
        embedding.client.embeddings.create(model="tiny", input=[[5, 100_000]])
    assert refusal.value.param == "input"
    assert "100000" in str(refusal.value)


def test_a_size_that_is_offered_can_be_had(embedding: Pair) -> None:
    short = embedding.client.embeddings.create(model="tiny", input=TEXTS[0], dimensions=8).data[0].embedding
    assert len(short) == 8
    assert math.isclose(math.hypot(*short), 1, rel_tol=1e-5)
    with pytest.raises(openai.BadRequestError) as refusal:
        embedding.client.embeddings.create(model="tiny", input=TEXTS[0], dimensions=9)
    assert refusal.value.param == "dimensions"


def test_the_demo_model_gives_some_too(service: Service) -> None:
    client = service.client()
    (whole,) = client.embeddings.create(model="demo", input="hi").data
    (cut,) = client.embeddings.create(model="demo", input="hi", dimensions=96).data
    assert (len(whole.embedding), len(cut.embedding)) == (192, 96)
    with pytest.raises(openai.BadRequestError) as refusal:
        client.embeddings.create(model="demo", input="hi", dimensions=95)
    assert refusal.value.param == "dimensions"
