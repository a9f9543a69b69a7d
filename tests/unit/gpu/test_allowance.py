"""Allowance: what fits the context and its lease, or an error with the numbers."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.gpu.allowance import bound, granted, known
from penstock.errors import BadRequest
from penstock.ledger import Bound
from tests.unit.gpu.lease import LEASE

CONTEXT = 64


def prompts_of(*lengths: int) -> list[list[int]]:
    """Prompts of these lengths."""
    return [[1] * length for length in lengths]


def ask(*lengths: int, limit: int | None) -> int:
    """What is granted to prompts of these lengths."""
    return granted(prompts_of(*lengths), limit, CONTEXT, param="messages", limit_param="max_tokens")


@pytest.mark.parametrize(
    ("lengths", "limit", "most"),
    [((10,), 5, 5), ((10,), None, 54), ((63,), None, 1), ((60,), 4, 4), ((10, 60, 1), None, 4), ((64,), 0, 0)],
)
def test_what_fits_is_granted(lengths: tuple[int, ...], limit: int | None, most: int) -> None:
    assert ask(*lengths, limit=limit) == most


@pytest.mark.parametrize(
    ("lengths", "limit", "param"),
    [
        ((64,), None, "messages"),
        ((64,), 1, "messages"),
        ((65,), 0, "messages"),
        ((1, 64), 1, "messages"),
        ((60,), 5, "max_tokens"),
        ((1, 60), 5, "max_tokens"),
    ],
)
def test_what_does_not_fit_is_named(lengths: tuple[int, ...], limit: int | None, param: str) -> None:
    with pytest.raises(BadRequest) as refusal:
        ask(*lengths, limit=limit)
    assert refusal.value.param == param
    assert refusal.value.code == "context_length_exceeded"
    assert f"{CONTEXT} tokens" in refusal.value.message
    assert str(max(lengths)) in refusal.value.message


def test_the_bound_is_each_prompt_once_and_each_answer() -> None:
    lease = replace(LEASE, bound=Bound(10**6, 10**9))
    assert bound(prompts_of(10), 5, 1, lease, CONTEXT, param="prompt") == Bound(15, 10 * 100 + 5 * 400)
    assert bound(prompts_of(10, 20), 5, 3, lease, CONTEXT, param="prompt") == Bound(60, 30 * 100 + 30 * 400)


@pytest.mark.parametrize("reserved", [Bound(14, 10**9), Bound(15, 2_999)])
def test_what_was_not_reserved_is_not_done(reserved: Bound) -> None:
    with pytest.raises(BadRequest) as refusal:
        bound(prompts_of(10), 5, 1, replace(LEASE, bound=reserved), CONTEXT, param="input")
    assert (refusal.value.code, refusal.value.param) == ("reservation_exceeded", "input")
    assert str(reserved.tokens) in refusal.value.message
    assert str(reserved.nano) in refusal.value.message


@pytest.mark.parametrize("token", [-1, 256, 10**9])
def test_an_id_that_is_no_token_is_named(token: int) -> None:
    known([0, 255], 256, "prompt")
    with pytest.raises(BadRequest) as refusal:
        known([0, token, 1], 256, "logit_bias")
    assert (refusal.value.param, refusal.value.code) == ("logit_bias", "invalid_token_id")
    assert str(token) in refusal.value.message
    assert "255" in refusal.value.message


@given(
    lengths=st.lists(st.integers(0, CONTEXT + 3), min_size=1, max_size=4),
    limit=st.none() | st.integers(0, CONTEXT + 3),
    choices=st.integers(1, 8),
    tokens=st.integers(0, 20 * CONTEXT),
    nano=st.integers(0, 20 * CONTEXT * 400),
)
def test_nothing_is_over_the_context_or_its_lease(
    lengths: list[int], limit: int | None, choices: int, tokens: int, nano: int
) -> None:
    lease = replace(LEASE, bound=Bound(tokens, nano))
    try:
        most = ask(*lengths, limit=limit)
        done = bound(prompts_of(*lengths), most, choices, lease, CONTEXT, param="prompt")
    except BadRequest:
        return
    assert max(lengths) + most <= CONTEXT
    assert done.within(lease.bound)
    used = sum(lengths), 0, len(lengths) * choices * most
    assert lease.price.cost(*used) <= done.nano
    assert sum(used) <= done.tokens
