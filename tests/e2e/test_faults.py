"""The whole service while its database fails: what clients are told is what is booked, to the token."""

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import openai
import pytest
from openai.types.chat import ChatCompletion

from penstock.clock import now_ms
from penstock.ledger import Audit, Ledger, UsageRow
from tests.e2e.service import Service, on_ledger, serving, wait_for
from tests.servers.environment import lead_to
from tests.servers.faults import Fault, Faults
from tests.servers.fixtures import NO_PROXY
from tests.servers.proxy import Proxy

TABLE = "dynamodb://penstock-faults"
QUESTIONS = 60


@pytest.fixture(scope="module")
def faults() -> Faults:
    """What befalls the requests to the table: nothing, until a test says so."""
    return Faults(seed=11, rate=0.0)


@pytest.fixture(scope="module")
def service(dynamodb_server: str | None, faults: Faults, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """`penstock serve` with the faults between it and its table. The test itself goes there directly."""
    if dynamodb_server is None:
        pytest.skip(NO_PROXY)
    with Proxy(dynamodb_server, faults) as proxy, pytest.MonkeyPatch.context() as patch:
        lead_to(proxy.url, patch)
        with serving(tmp_path_factory.mktemp("service") / "data", "--ledger", TABLE) as service:
            lead_to(dynamodb_server, patch)
            yield service


def ask(service: Service, number: int) -> ChatCompletion | None:
    """An answer, where there is one. What fails is sent again by the client, under the same key."""
    messages: Any = [{"role": "user", "content": f"What is a lease? {number}"}]
    try:
        return service.client(max_retries=4).chat.completions.create(
            model="demo", messages=messages, max_tokens=10, extra_headers={"Idempotency-Key": f"question-{number}"}
        )
    except openai.APIStatusError as refused:
        if refused.status_code not in (409, 503):
            raise
        return None


async def audit(ledger: Ledger) -> Audit:
    """What the ledger says of itself."""
    return await ledger.audit(now_ms())


async def rows(ledger: Ledger) -> list[UsageRow]:
    """Everything that was used."""
    return list(await ledger.usage())


def closed_books() -> Audit:
    """The audit, once no lease is live."""
    found: Audit = wait_for("all leases to be closed", lambda: (now := on_ledger(TABLE, audit)).leases == 0 and now)
    return found


def test_with_a_fifth_of_all_requests_failing_each_question_is_answered_once(service: Service, faults: Faults) -> None:
    faults.rate = 0.2
    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda number: ask(service, number // 2), range(2 * QUESTIONS)))
    faults.rate = 0.0
    assert len({fault for _, fault in faults.done}) > 3
    given = {answer.id: answer for answer in answers if answer is not None}
    again = Counter(number // 2 for number, answer in enumerate(answers) if answer is not None)
    assert len(given) == len(again) >= QUESTIONS * 0.9
    audited = closed_books()
    assert audited.findings == ()
    booked = on_ledger(TABLE, rows)
    # A question whose answer went to nobody was paid for all the same; its next repetition would get it.
    told = sum(answer.usage.total_tokens for answer in given.values() if answer.usage is not None)
    assert sum(row.usage.total_tokens for row in booked) >= told
    repeated = [answer for number in range(QUESTIONS) if (answer := ask(service, number)) is not None]
    assert len(repeated) == QUESTIONS
    booked = on_ledger(TABLE, rows)
    assert sum(row.requests for row in booked) == QUESTIONS
    assert sum(row.usage.total_tokens for row in booked) == sum(one.usage.total_tokens for one in repeated if one.usage)


def test_while_the_database_is_away_a_stream_goes_on_and_is_booked_on_its_return(
    service: Service, faults: Faults
) -> None:
    before = tokens()
    story: Any = [{"role": "user", "content": "Tell me a story."}]
    stream = service.client().chat.completions.create(
        model="demo", messages=story, max_tokens=900, seed=1, stream=True, stream_options={"include_usage": True}
    )
    next(stream)
    faults.only, faults.rate = frozenset({Fault.UNREACHED}), 1.0
    usage = [part.usage for part in stream][-1]
    assert usage is not None
    with pytest.raises(openai.InternalServerError, match="ledger"):
        service.client().chat.completions.create(model="demo", messages=story)
    wait_for("the settlement to be kept on disk", lambda: list((service.data / "spool").glob("*")))
    assert tokens() == before
    faults.rate = 0.0
    wait_for("the stream to be booked", lambda: tokens() == before + usage.total_tokens)
    assert closed_books().findings == ()
    assert not list((service.data / "spool").glob("*"))


def tokens() -> int:
    """All that are booked."""
    return sum(row.usage.total_tokens for row in on_ledger(TABLE, rows))
