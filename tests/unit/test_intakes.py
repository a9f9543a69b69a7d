"""What the routes take: of which models, and what is refused."""

from dataclasses import replace

import orjson
import pytest

from penstock.errors import BadRequest, Forbidden, NotFound
from penstock.intakes import CHAT, EMBEDDINGS, INTAKES, Intake, model_of
from penstock.ledger import Account, Caller, Key
from penstock.models import ModelTable, ServedModel

CALLER = Caller(Account("acct", "one", 0), Key("key", "acct", "one", "0" * 64, 0))
BODIES: dict[str, dict[str, object]] = {
    "/v1/chat/completions": {"messages": [{"role": "user", "content": "Hello"}]},
    "/v1/completions": {"prompt": "Hello"},
    "/v1/embeddings": {"input": "Hello"},
}


def served(name: str, **fields: object) -> ServedModel:
    """A model of the table."""
    prices = [{"effective": "2026-01-01", "prompt": "1", "cached_prompt": "1", "completion": "1"}]
    return ServedModel.model_validate({"name": name, "source": "x", "context_length": 64, "prices": prices, **fields})


TALKER = served("talker", aliases=["small"])
EMBEDDER = served("embedder", chat=False, completions=False, embeddings={"pooling": "mean"})
MODELS = ModelTable([TALKER, EMBEDDER])


@pytest.mark.parametrize("intake", INTAKES.values(), ids=lambda intake: intake.group)
def test_a_body_is_read_and_taken_for_a_model_that_serves_it(intake: Intake) -> None:
    assert INTAKES[intake.path] is intake
    fitting = EMBEDDER if intake is EMBEDDINGS else TALKER
    call = intake.read(orjson.dumps({"model": fitting.name, **BODIES[intake.path]}))
    assert intake.take({"model": fitting.name, **BODIES[intake.path]}) == call
    assert model_of(call, MODELS) is fitting
    intake.require(call, fitting, CALLER)
    with pytest.raises(NotFound, match=f"is not served at {intake.path}") as refused:
        intake.require(call, TALKER if fitting is EMBEDDER else EMBEDDER, CALLER)
    assert (refused.value.code, refused.value.param) == ("model_not_supported", "model")


def test_a_model_is_found_by_its_alias_and_an_unknown_one_named() -> None:
    chat = BODIES["/v1/chat/completions"]
    assert model_of(CHAT.read(orjson.dumps({"model": "small", **chat})), MODELS) is TALKER
    with pytest.raises(NotFound, match="'nope' does not exist") as refused:
        model_of(CHAT.read(orjson.dumps({"model": "nope", **chat})), MODELS)
    assert refused.value.code == "model_not_found"


def test_a_model_that_the_key_may_not_use_is_refused_before_what_it_serves_is_told() -> None:
    scoped = replace(CALLER, key=replace(CALLER.key, models=frozenset({"talker"})))
    call = CHAT.read(orjson.dumps({"model": "embedder", **BODIES["/v1/chat/completions"]}))
    with pytest.raises(Forbidden):
        CHAT.require(call, EMBEDDER, scoped)


def test_an_answer_that_can_never_fit_the_model_is_refused() -> None:
    call = CHAT.read(orjson.dumps({"model": "talker", "max_tokens": 64, **BODIES["/v1/chat/completions"]}))
    with pytest.raises(BadRequest):
        CHAT.require(call, TALKER, CALLER)
