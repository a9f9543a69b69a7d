"""Admission: the bound covers whatever the engine can do, and one reservation is all that happens."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.admission import Demand, NoPrice, admit, bound_of, new_request_id
from penstock.ledger import Account, Caller, Key, Lease, Reserved, Usage
from penstock.ledger.records import MOST
from penstock.models import ServedModel
from penstock.prices import Price

NOW = 1_790_000_000_000  # 2026-09-21
PRICES = [{"effective": "2026-01-01", "prompt": "0.1", "cached_prompt": "0.05", "completion": "0.2"}]
CALLER = Caller(
    Account(id="acc_1", name="one", created_at=0),
    Key(id="key_1", account_id="acc_1", name="one", digest="0" * 64, created_at=0),
)

models = st.builds(
    lambda context, template, per_message: ServedModel.model_validate(
        {
            "name": "demo",
            "source": "x",
            "context_length": context,
            "template_tokens": template,
            "template_tokens_per_message": per_message,
            "prices": PRICES,
        }
    ),
    st.integers(16, 4_096) | st.just(10_000_000),
    st.integers(0, 600),
    st.integers(1, 64),
)
nano = st.integers(0, 1_000_000_000)  # a million dollars per million tokens
prices = st.builds(Price, st.just("v"), nano, nano, nano)
demands = st.builds(
    Demand,
    prompt_bytes=st.integers(0, 8_192) | st.integers(0, 2**40),
    messages=st.integers(1, 64),
    max_tokens=st.none() | st.integers(1, 8_192) | st.integers(1, 2**40),
)


@given(models, prices, demands, st.data())
def test_the_bound_covers_every_usage_the_engine_can_produce(
    model: ServedModel, price: Price, demand: Demand, data: st.DataObject
) -> None:
    bound = bound_of(model, price, demand)
    template = model.template_tokens + demand.messages * model.template_tokens_per_message
    # A token of the prompt is at least a byte, or part of the template; a prompt over the context is refused.
    prompt = data.draw(st.integers(0, min(demand.prompt_bytes + template, model.context_length)), "prompt")
    room = model.context_length - prompt
    completion = data.draw(st.integers(0, min(demand.max_tokens or room, room)), "completion")
    usage = Usage(prompt, data.draw(st.integers(0, prompt), "cached"), completion)
    assert usage.total_tokens <= bound.tokens
    assert usage.cost(price) <= bound.nano


@given(models, prices, demands)
def test_the_bound_is_within_the_context_and_reached(model: ServedModel, price: Price, demand: Demand) -> None:
    """No larger than the dearest request that the demand allows: a bound that refuses nobody for nothing."""
    bound = bound_of(model, price, demand)
    prompt = model.prompt_bound(demand.prompt_bytes, demand.messages)
    completion = min(demand.max_tokens or model.context_length, model.context_length)
    dearest = max(price.prompt, price.cached_prompt)
    splits = [
        (prompt, min(completion, model.context_length - prompt)),
        (min(prompt, model.context_length - completion), completion),
    ]
    assert bound.nano == max(p * dearest + c * price.completion for p, c in splits)
    assert bound.tokens == min(prompt + completion, model.context_length) <= model.context_length
    assert bound.nano <= MOST


def test_a_small_demand_reserves_little() -> None:
    model = ServedModel.model_validate(
        {
            "name": "demo",
            "source": "x",
            "context_length": 4_096,
            "template_tokens": 20,
            "template_tokens_per_message": 4,
            "prices": PRICES,
        }
    )
    bound = bound_of(model, Price("v", 100, 50, 200), Demand(prompt_bytes=70, messages=2, max_tokens=10))
    assert bound.tokens == 70 + 20 + 2 * 4 + 10
    assert bound.nano == 98 * 100 + 10 * 200


# -- admit


class OneReservation:
    """A ledger of which only `reserve` may be called."""

    def __init__(self) -> None:
        self.calls: list[tuple[Caller, Lease]] = []

    async def reserve(self, caller: Caller, lease: Lease) -> Reserved:
        self.calls.append((caller, lease))
        return Reserved(lease, {})


def demo(effective: str) -> ServedModel:
    prices = [PRICES[0] | {"effective": effective}]
    return ServedModel.model_validate({"name": "demo", "source": "x", "context_length": 256, "prices": prices})


@pytest.mark.anyio
async def test_the_lease_says_all_that_the_others_need() -> None:
    ledger, model, demand = OneReservation(), demo("2026-01-01"), Demand(20, 1, 16)
    admitted = await admit(ledger, CALLER, model, demand, request_id="req_1", now=NOW, claim_within_s=300)
    assert isinstance(admitted, Reserved)
    price = Price("2026-01-01", 100, 50, 200)
    lease = Lease(
        id="req_1",
        account_id="acc_1",
        key_id="key_1",
        model="demo",
        bound=bound_of(model, price, demand),
        price=price,
        reserved_at=NOW,
        deadline=NOW + 300_000,
    )
    assert admitted.lease == lease
    assert ledger.calls == [(CALLER, lease)]


@pytest.mark.anyio
async def test_a_model_without_a_price_in_force_reserves_nothing() -> None:
    ledger = OneReservation()
    with pytest.raises(NoPrice, match="demo"):
        await admit(
            ledger,
            CALLER,
            demo("2027-01-01"),
            Demand(20, 1, 16),
            request_id="req_1",
            now=NOW,
            claim_within_s=300,
        )
    assert ledger.calls == []


def test_request_ids_are_ours_and_new() -> None:
    ids = {new_request_id() for _ in range(1_000)}
    assert len(ids) == 1_000
    assert all(re.fullmatch("req_[0-9A-Za-z]{16}", request_id) for request_id in ids)
