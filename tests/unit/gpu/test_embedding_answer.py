"""The bytes of embeddings, pinned, and the two forms of their numbers."""

import base64
import struct
from array import array

import orjson
from hypothesis import given
from hypothesis import strategies as st

from functions.gpu.embedding_answer import CODED, WRITTEN, EmbeddingAnswer
from functions.gpu.engine import Prefilled
from functions.gpu.work import Embedded
from penstock.ledger import Usage
from penstock.schemas import EmbeddingList
from tests.unit.gpu.lease import LEASE

USAGE = Usage(prompt_tokens=3, cached_prompt_tokens=0, completion_tokens=0)


def test_lists_of_numbers() -> None:
    answer = EmbeddingAnswer(LEASE, as_base64=False)
    for event in (Prefilled(0, 3, 0), Embedded(0, array("f", [0.5, -0.25])), Embedded(1, array("f", [1.0]))):
        answer.add(event)
    body = answer.whole(USAGE)
    assert EmbeddingList.model_validate_json(body).model_dump_json().encode() == body
    assert body.decode() == (
        '{"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.5,-0.25]},'
        '{"object":"embedding","index":1,"embedding":[1.0]}],"model":"demo",'
        '"usage":{"prompt_tokens":3,"total_tokens":3}}'
    )


@given(st.lists(st.floats(-1, 1, width=32), min_size=1, max_size=20))
def test_no_number_is_longer_than_is_reckoned_with(numbers: list[float]) -> None:
    assert len(orjson.dumps(numbers)) <= 1 + len(numbers) * WRITTEN
    assert len(base64.b64encode(bytes(4_000))) <= 1_000 * CODED


@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), max_size=20))
def test_base64_is_the_same_numbers(numbers: list[float]) -> None:
    embeddings = []
    for as_base64 in (False, True):
        answer = EmbeddingAnswer(LEASE, as_base64=as_base64)
        answer.add(Embedded(0, array("f", numbers)))
        embeddings.append(orjson.loads(answer.whole(USAGE))["data"][0]["embedding"])
    plain, coded = embeddings
    assert list(struct.unpack(f"<{len(numbers)}f", base64.b64decode(coded, validate=True))) == plain == numbers
