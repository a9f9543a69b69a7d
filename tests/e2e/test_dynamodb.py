"""The whole service on DynamoDB: the same processes, the other ledger."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import openai
import pytest

from penstock.clock import now_ms
from penstock.ledger import Audit, Ledger, UsageRecord, UsageRow
from tests.e2e.service import Service, on_ledger, serving, wait_for
from tests.servers.environment import lead_to

TABLE = "dynamodb://penstock-e2e"
STORY: Any = [{"role": "user", "content": "Tell me a story."}]


@pytest.fixture(scope="module")
def service(dynamodb_server: str | None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """`penstock serve` on a table that it makes by itself."""
    settings = {
        "PENSTOCK_CHECKPOINT_TOKENS": "4",
        "PENSTOCK_CHECKPOINT_EVERY_S": "2",
        "PENSTOCK_LEASE_S": "12",
        "PENSTOCK_EXPIRE_EVERY_S": "1",
    }
    with pytest.MonkeyPatch.context() as patch:
        if dynamodb_server is not None:
            lead_to(dynamodb_server, patch)
        for name, value in settings.items():
            patch.setenv(name, value)
        with serving(tmp_path_factory.mktemp("service") / "data", "--ledger", TABLE) as service:
            yield service


def ask(service: Service, key: str | None = None, **parameters: Any) -> Any:
    return service.client(key).chat.completions.create(model="demo", messages=STORY, **parameters)


def rows_of(key: str) -> list[UsageRow]:
    async def look(ledger: Ledger) -> list[UsageRow]:
        return list(await ledger.usage(key_id=key.split("_")[1]))

    return on_ledger(TABLE, look)


def records_of(key: str) -> list[UsageRecord]:
    async def look(ledger: Ledger) -> list[UsageRecord]:
        return [record for record in await ledger.records() if record.key_id == key.split("_")[1]]

    return on_ledger(TABLE, look)


def create_key(service: Service, *options: str) -> str:
    return service.run("keys", "create", "--ledger", TABLE, *options).splitlines()[0]


def test_what_clients_are_told_is_what_the_table_holds(service: Service) -> None:
    key = create_key(service, "--name", "sums")
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: ask(service, key, max_tokens=12), range(24)))
    (row,) = rows_of(key)
    assert row.requests == 24
    assert row.usage.prompt_tokens == sum(answer.usage.prompt_tokens for answer in answers)
    assert row.usage.completion_tokens == sum(answer.usage.completion_tokens for answer in answers)
    assert row.nano == sum(record.nano for record in records_of(key))


def test_a_burst_never_passes_the_budget(service: Service) -> None:
    key = create_key(service, "--name", "poor", "--monthly-budget", "0.0001")

    def one(_: int) -> int:
        try:
            ask(service, key, max_tokens=8)
        except openai.APIStatusError as refused:
            return refused.status_code
        return 200

    with ThreadPoolExecutor(32) as pool:
        statuses = list(pool.map(one, range(64)))
    assert set(statuses) == {200, 402}
    (row,) = rows_of(key)
    assert row.requests == statuses.count(200)
    assert 0 < row.nano <= 100_000


def test_the_last_slots_come_back(service: Service) -> None:
    key = create_key(service, "--name", "three", "--concurrent", "3")

    def one(_: int) -> int:
        try:
            return len(ask(service, key, max_tokens=8).choices)
        except openai.RateLimitError:
            return 0

    with ThreadPoolExecutor(24) as pool:
        assert sum(pool.map(one, range(48))) >= 3
    # A key that was refused so often may be told so from memory for a second more.
    wait_for("a slot", lambda: one(0))


def test_a_gpu_process_that_dies_bills_its_last_checkpoint_at_most(service: Service) -> None:
    key = create_key(service, "--name", "killed")
    stream = ask(service, key, stream=True, max_tokens=900, seed=1)
    received = []

    def read() -> None:
        for chunk in stream:
            received.append(chunk)
            if len(received) == 20:
                service.kill_gpu()

    with pytest.raises(openai.APIError):
        read()
    (record,) = wait_for("the lease to be closed", lambda: records_of(key))
    assert record.provisional
    assert record.usage.completion_tokens <= len(received)
    wait_for("the GPU process to be back", service.gpu_pid)
    answer = wait_for("an answer", lambda: _answer(service, key))
    assert answer.usage.completion_tokens > 0


def _answer(service: Service, key: str) -> Any:
    try:
        return ask(service, key, max_tokens=4)
    except openai.APIStatusError:
        return None


def test_everything_adds_up_in_the_end(service: Service) -> None:
    async def look(ledger: Ledger) -> Audit:
        return await ledger.audit(now_ms())

    audit = wait_for("the books to be closed", lambda: (found := on_ledger(TABLE, look)).leases == 0 and found)
    assert audit.findings == ()
    assert audit.records > 0
    service.run("ledger", "verify", "--ledger", TABLE)  # fails where there is a finding
