"""Admission: the bound covers whatever the engine can do, and one reservation is all that happens."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.admission import Demand, NoPrice, admit, bound_of, new_request_id, request_id_of
from penstock.ledger import Account, Caller, Key, Lease, Reserved, Usage
from penstock.ledger.records import MOST
from penstock.models import TEXT_TOKENS, ServedModel
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
nano = st.integers(0, 1_000_000)  # a thousand dollars per million tokens, the most that a table may say
prices = st.builds(Price, st.just("v"), nano, nano, nano)
limits = st.none() | st.integers(0, 8_192) | st.integers(0, 2**31)
choices = st.integers(1, 8)
texts = st.builds(
    Demand,
    prompt_bytes=st.integers(0, 8_192) | st.integers(0, 2**26),
    messages=st.integers(0, 64),
    max_tokens=limits,
    choices=choices,
)
tokens = st.builds(
    Demand,
    prompt_bytes=st.just(0),
    messages=st.just(0),
    max_tokens=limits,
    choices=choices,
    prompt_tokens=st.integers(1, 8_192) | st.integers(1, 10_000_000),
)
demands = texts | tokens


def most_of(model: ServedModel, demand: Demand) -> tuple[int, int]:
    """The most tokens that the demand's prompt can have, and each of its choices.

    A token of a text is at least a byte; a template is around a conversation, an end or two around another text.
    """
    template = model.template_tokens + demand.messages * model.template_tokens_per_message
    prompt = demand.prompt_bytes + (template if demand.messages else TEXT_TOKENS)
    if demand.prompt_tokens is not None:
        prompt = demand.prompt_tokens
    completion = model.context_length if demand.max_tokens is None else demand.max_tokens
    return min(prompt, model.context_length), min(completion, model.context_length)


@given(models, prices, st.lists(demands, min_size=1, max_size=4), st.data())
def test_the_bound_covers_every_usage_the_engine_can_produce(
    model: ServedModel, price: Price, asked: list[Demand], data: st.DataObject
) -> None:
    used = Usage(0, 0, 0)
    for demand in asked:
        prompt, completion = most_of(model, demand)
        read = data.draw(st.integers(0, prompt), "prompt")  # over the context it is refused
        of_each = st.integers(0, min(completion, model.context_length - read))
        written = data.draw(st.lists(of_each, min_size=demand.choices, max_size=demand.choices), "completions")
        cached = data.draw(st.integers(0, read), "cached")
        used = Usage(
            used.prompt_tokens + read, used.cached_prompt_tokens + cached, used.completion_tokens + sum(written)
        )
    bound = bound_of(model, price, *asked)
    assert used.total_tokens <= bound.tokens
    assert used.cost(price) <= bound.nano


@given(models, prices, demands)
def test_the_bound_is_reached(model: ServedModel, price: Price, demand: Demand) -> None:
    """No larger than the dearest request that the demand allows: a bound that refuses nobody for nothing."""
    bound = bound_of(model, price, demand)
    prompt, completion = most_of(model, demand)
    dearest = max(price.prompt, price.cached_prompt)
    splits = [
        (prompt, min(completion, model.context_length - prompt)),
        (min(prompt, model.context_length - completion), completion),
    ]
    assert bound.nano == max(p * dearest + demand.choices * c * price.completion for p, c in splits)
    assert bound.tokens == max(p + demand.choices * c for p, c in splits)
    if demand.choices == 1:
        assert bound.tokens == min(prompt + completion, model.context_length)


def test_the_largest_request_of_the_dearest_model_is_a_bound() -> None:
    """128 answers over the longest context that a table may say, at its highest price."""
    price = {"effective": "2026-01-01", "prompt": 1_000, "cached_prompt": 1_000, "completion": 1_000}
    model = ServedModel.model_validate({"name": "m", "source": "x", "context_length": 10_000_000, "prices": [price]})
    demand = Demand(64 << 20, 0, None, 2)
    assert bound_of(model, model.prices[0].price(), *[demand] * 64).nano <= MOST


def test_several_prompts_are_bounded_by_their_sum() -> None:
    model, price = demo("2026-01-01"), Price("v", 100, 50, 200)
    bound = bound_of(model, price, Demand(10, 0, 5, 2), Demand(0, 0, 5, 2, prompt_tokens=7))
    assert bound.tokens == (10 + TEXT_TOKENS + 2 * 5) + (7 + 2 * 5)
    assert bound.nano == (17 + TEXT_TOKENS) * 100 + 4 * 5 * 200


def test_an_embedding_is_bounded_by_its_prompt() -> None:
    bound = bound_of(demo("2026-01-01"), Price("v", 100, 50, 200), Demand(0, 0, 0, prompt_tokens=7))
    assert (bound.tokens, bound.nano) == (7, 700)


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


def test_a_calls_name_is_always_the_same_request_and_another_names_another() -> None:
    names = [f"in-{number}/{letter}" for number in range(1_000) for letter in ("", "a", "/", "é", "\0")]
    ids = [request_id_of(name) for name in names]
    assert ids == [request_id_of(name) for name in names]
    assert len(set(ids)) == len(names)
    assert all(re.fullmatch("req_[0-9A-Za-z]{16}", request_id) for request_id in ids)
    assert {letter for request_id in ids for letter in request_id.removeprefix("req_")} == set(
        "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    )


def test_a_request_id_is_the_same_in_every_version() -> None:
    """What was delivered before a deployment may be delivered again after it."""
    assert request_id_of("in-1") == "req_HHibYDqmqT1PmlKS"
