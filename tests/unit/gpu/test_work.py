"""Work: a request that fits its context and its lease, or an error with the numbers."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.gpu.engine import Event, Sampling
from functions.gpu.work import Work, prepare
from penstock.errors import BadRequest
from penstock.ledger import Bound, Lease
from penstock.schemas import ChatRequest, Message
from tests.unit.gpu.lease import LEASE

pytestmark = pytest.mark.anyio

CONTEXT = 64


class Tokens:
    """An engine that says how long a prompt is, and nothing else: one token a character."""

    context_length = CONTEXT

    async def tokenize(self, messages: Sequence[Mapping[str, str]]) -> list[int]:
        return [1 for message in messages for _ in message["content"]]

    def generate(self, prompt: Sequence[int], sampling: Sampling) -> AsyncGenerator[Event, None]:
        raise NotImplementedError

    async def close(self) -> None:
        """Nothing to end."""


async def work(prompt: int, limit: int | None, lease: Lease = LEASE) -> Work:
    message = Message(role="user", content="x" * prompt)
    return await prepare(Tokens(), ChatRequest(model="demo", messages=[message], max_tokens=limit), lease)


@pytest.mark.parametrize(("prompt", "limit", "granted"), [(10, 5, 5), (10, None, 54), (63, None, 1), (60, 4, 4)])
async def test_what_fits_is_granted(prompt: int, limit: int | None, granted: int) -> None:
    done = await work(prompt, limit)
    assert len(done.prompt) == prompt
    assert done.sampling == Sampling(max_tokens=granted)
    assert done.bound == Bound(prompt + granted, prompt * 100 + granted * 400)


@pytest.mark.parametrize(
    ("prompt", "limit", "param"), [(64, None, "messages"), (64, 1, "messages"), (60, 5, "max_tokens")]
)
async def test_what_does_not_fit_is_named(prompt: int, limit: int | None, param: str) -> None:
    with pytest.raises(BadRequest) as refusal:
        await work(prompt, limit)
    assert refusal.value.param == param
    assert refusal.value.code == "context_length_exceeded"
    assert f"{CONTEXT} tokens" in refusal.value.message
    assert str(prompt) in refusal.value.message


@pytest.mark.parametrize("bound", [Bound(14, 10**9), Bound(15, 2_999)])
async def test_what_was_not_reserved_is_not_done(bound: Bound) -> None:
    with pytest.raises(BadRequest) as refusal:
        await work(10, 5, replace(LEASE, bound=bound))
    assert refusal.value.code == "reservation_exceeded"
    assert str(bound.tokens) in refusal.value.message
    assert str(bound.nano) in refusal.value.message


@given(
    prompt=st.integers(0, CONTEXT + 3),
    limit=st.none() | st.integers(1, CONTEXT + 3),
    tokens=st.integers(0, CONTEXT),
    nano=st.integers(0, CONTEXT * 400),
)
async def test_no_work_is_over_the_context_or_its_lease(prompt: int, limit: int | None, tokens: int, nano: int) -> None:
    lease = replace(LEASE, bound=Bound(tokens, nano))
    try:
        done = await work(prompt, limit, lease)
    except BadRequest:
        return
    assert done.sampling.max_tokens >= 1
    assert prompt + done.sampling.max_tokens <= CONTEXT
    assert done.bound.within(lease.bound)
    assert lease.price.cost(prompt, 0, done.sampling.max_tokens) <= done.bound.nano
