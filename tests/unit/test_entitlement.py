"""Who may call: what is refused, and in which words."""

from dataclasses import replace

import pytest

from penstock import keys
from penstock.entitlement import (
    denied,
    opens,
    read_key,
    require_entitled,
    require_model,
    require_route,
    require_switched_on,
)
from penstock.errors import ApiError, Forbidden, Unauthenticated, Unavailable
from penstock.ledger import ADMIN, Account, Caller, Key, Switch

NOW = 1_790_000_000_000
API_KEY = keys.mint()
CALLER = Caller(Account("acct", "one", 0), Key(API_KEY.id, "acct", "one", API_KEY.digest(), 0))
ENDED = [
    replace(CALLER, key=replace(CALLER.key, revoked_at=NOW)),
    replace(CALLER, key=replace(CALLER.key, expires_at=NOW)),
]
OFF = replace(CALLER, account=replace(CALLER.account, enabled=False))


def test_a_key_that_was_sent_is_read() -> None:
    assert read_key(API_KEY.reveal()) == API_KEY
    with pytest.raises(Unauthenticated, match="malformed"):
        read_key(API_KEY.reveal()[:-1])


def test_a_key_opens_its_own_caller_and_nobody() -> None:
    assert opens(API_KEY, CALLER)
    assert not opens(keys.mint(), CALLER)
    assert not opens(API_KEY, None)


def test_an_unknown_id_takes_a_comparison_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[str] = []

    def note(_: keys.ApiKey, digest: str) -> bool:
        compared.append(digest)
        return False

    monkeypatch.setattr(keys.ApiKey, "matches", note)
    opens(API_KEY, None)
    opens(API_KEY, CALLER)
    assert [len(digest) for digest in compared] == [64, 64]


def test_a_good_key_may_call() -> None:
    require_entitled(CALLER, NOW)
    require_route(CALLER, "chat")
    require_model(CALLER, "demo")
    require_switched_on(Switch(on=True))


@pytest.mark.parametrize("ended", ENDED)
def test_a_key_that_has_ended(ended: Caller) -> None:
    require_entitled(ended, NOW - 1)
    with pytest.raises(Unauthenticated, match="was revoked or has expired"):
        require_entitled(ended, NOW)


def test_an_account_that_is_off() -> None:
    with pytest.raises(Forbidden) as refused:
        require_entitled(OFF, NOW)
    assert refused.value.code == "account_disabled"


@pytest.mark.parametrize(
    ("caller", "kind"),
    [(ENDED[0], Unauthenticated), (OFF, Forbidden), (None, Unauthenticated), (CALLER, Unauthenticated)],
)
def test_whoever_the_ledger_denied_is_told_why(caller: Caller | None, kind: type[ApiError]) -> None:
    """A caller that looks good again was denied all the same: its reservation was not made."""
    assert type(denied(caller, NOW)) is kind


def test_a_scope_of_routes() -> None:
    scoped = replace(CALLER, key=replace(CALLER.key, routes=frozenset({"models"})))
    require_route(scoped, "models")
    with pytest.raises(Forbidden, match="group 'chat'") as refused:
        require_route(scoped, "chat")
    assert refused.value.code == "route_not_allowed"


def test_a_key_without_a_scope_does_not_administer() -> None:
    with pytest.raises(Forbidden):
        require_route(CALLER, ADMIN)


def test_a_scope_of_models() -> None:
    scoped = replace(CALLER, key=replace(CALLER.key, models=frozenset({"demo"})))
    require_model(scoped, "demo")
    with pytest.raises(Forbidden, match="'large'") as refused:
        require_model(scoped, "large")
    assert refused.value.param == "model"


@pytest.mark.parametrize(("reason", "message"), [("", "off."), ("Prices.", "off: Prices.")])
def test_a_service_that_is_off_says_why(reason: str, message: str) -> None:
    with pytest.raises(Unavailable) as refused:
        require_switched_on(Switch(on=False, reason=reason))
    assert refused.value.message == f"The service is switched {message}"
    assert (refused.value.code, refused.value.headers["Retry-After"]) == ("service_off", "60")
