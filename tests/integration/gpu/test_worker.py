"""A worker: each line of a shard is answered once, and billed as it was answered, whatever happens meanwhile."""

from pathlib import Path

import orjson
import pytest

from penstock.admission import request_id_of
from penstock.batches.orders import Outcome
from tests.integration.gpu.scripted import ScriptedEngine
from tests.integration.gpu.shard_stand import BATCH, chats, number_of, shard_stand, statuses
from tests.integration.gpu.stand import completion, embedding

pytestmark = pytest.mark.anyio


async def test_every_line_is_answered_and_billed_at_the_batchs_price(tmp_path: Path) -> None:
    requests = [*chats(150), completion("told"), embedding(["a", "bc"])]
    async with shard_stand(tmp_path, ScriptedEngine("lo", " you")) as stand:
        outcome = Outcome.read(await stand.worker.run(await stand.give(requests)))
        found = await stand.results()
        usage = await stand.agreed()
        records = await stand.ledger.records()
        assert await stand.mark() == outcome == Outcome(152, 0, usage)
    assert set(found) == {number_of(place) for place in range(152)}
    assert statuses(found) == {200: 152}
    first = found[number_of(0)]
    answer = orjson.loads(first.body)
    assert answer["choices"][0]["message"]["content"] == "lo you"
    assert first.request_id == request_id_of(f"{BATCH}/5") == "req_" + answer["id"].removeprefix("chatcmpl-")
    assert {record.price_version for record in records} == {"2026-01-01/batch"}
    assert sum(record.requests for record in records) == 152
    assert len(records) < 10
    assert {record.outcome for record in records} == {"completed"}
