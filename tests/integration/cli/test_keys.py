"""Keys, on either store."""

import asyncio

from penstock.clock import now_ms
from penstock.keys import parse
from penstock.ledger import Caller, Limits, open_ledger
from tests.integration.cli.command import done, here, json_of, refused

DAY = 24 * 60 * 60 * 1000


def opens(url: str, text: str) -> Caller | None:
    """The caller that a key opens the API for, as the edge finds it."""
    key = parse(text)
    assert key is not None

    async def look() -> Caller | None:
        ledger = await open_ledger(url)
        caller = await ledger.caller(key.id)
        await ledger.close()
        return caller

    caller = asyncio.run(look())
    return caller if caller and caller.key.usable(now_ms()) and key.matches(caller.key.digest) else None


def test_a_new_key_opens_and_is_shown_once(ledger: str) -> None:
    result = here("keys", "create", "--name", "a [b]", "--ledger", ledger)
    key = result.stdout.strip()
    caller = opens(ledger, key)
    assert caller is not None
    assert (caller.key.name, caller.account.id, caller.key.models, caller.key.limits) == (
        "a [b]",
        "local",
        None,
        Limits(),
    )
    assert "only time" in result.stderr
    listed = done(here("keys", "list", "--ledger", ledger))
    assert caller.key.id in listed
    assert "a [b]" in listed
    assert key not in listed
    assert key not in done(here("keys", "list", "--json", "--ledger", ledger))


def test_a_key_with_everything_as_json(ledger: str) -> None:
    made = json_of(
        *("keys", "create", "--ledger", ledger, "--models", "b, a", "--expires-in", "30d"),
        *("--requests-per-minute", "5", "--tokens-per-minute", "9", "--concurrent", "2", "--monthly-budget", "12.50"),
        *("--monthly-tokens", "7", "--routes", "chat"),
    )
    caller = opens(ledger, made["key"])
    assert caller is not None
    assert caller.key.id == made["id"]
    assert caller.key.models == frozenset({"a", "b"})
    assert caller.key.limits == Limits(5, 9, 2, 12_500_000_000, 7)
    assert caller.key.routes == frozenset({"chat"})
    assert caller.key.expires_at == caller.key.created_at + 30 * DAY
    assert made["limits"]["monthly_budget_usd"] == "12.5"
    (listed,) = json_of("keys", "list", "--ledger", ledger)["keys"]
    assert listed == {name: value for name, value in made.items() if name != "key"}


def test_a_revoked_key_opens_nothing(ledger: str) -> None:
    made = json_of("keys", "create", "--ledger", ledger)
    assert made["id"] in done(here("keys", "revoke", made["id"], "--ledger", ledger))
    assert opens(ledger, made["key"]) is None
    assert "revoked" in done(here("keys", "list", "--ledger", ledger))
    assert "has ended" in refused(here("keys", "rotate", made["id"], "--ledger", ledger))


def test_rotation_keeps_scope_limits_and_lifetime_and_ends_the_old_key_after_the_grace(ledger: str) -> None:
    old = json_of("keys", "create", "--ledger", ledger, "--models", "a", "--concurrent", "2", "--expires-in", "30d")
    new = json_of("keys", "rotate", old["id"], "--grace", "2h", "--ledger", ledger)
    before, after = opens(ledger, old["key"]), opens(ledger, new["key"])
    assert before is not None
    assert after is not None
    assert (after.key.models, after.key.limits) == (before.key.models, before.key.limits)
    assert after.key.expires_at == after.key.created_at + 30 * DAY
    assert before.key.expires_at == after.key.created_at + DAY // 12
    assert new["replaces"]["id"] == old["id"]


def test_rotation_gives_a_day_unless_told_otherwise_and_none_at_once(ledger: str) -> None:
    first = json_of("keys", "create", "--ledger", ledger)
    second = json_of("keys", "rotate", first["id"], "--ledger", ledger)
    caller = opens(ledger, first["key"])
    assert caller is not None
    assert caller.key.expires_at is not None
    assert 0 < caller.key.expires_at - now_ms() <= DAY
    assert "works until" in done(here("keys", "rotate", second["id"], "--grace", "0s", "--ledger", ledger))
    assert opens(ledger, second["key"]) is None


def test_an_unknown_key_is_one_line(ledger: str) -> None:
    for command in (("keys", "revoke"), ("keys", "rotate"), ("keys", "set"), ("usage", "--key")):
        assert "no key 'nothing'" in refused(here(*command, "nothing", "--ledger", ledger))


def test_a_key_that_is_pasted_for_its_id_is_not_repeated(ledger: str) -> None:
    made = json_of("keys", "create", "--ledger", ledger)
    assert made["key"] not in refused(here("keys", "revoke", made["key"], "--ledger", ledger))


def test_a_keys_limits_and_scope_change_one_by_one(ledger: str) -> None:
    made = json_of("keys", "create", "--concurrent", "2", "--models", "a", "--ledger", ledger)
    said = done(here("keys", "set", made["id"], "--monthly-tokens", "9", "--routes", "usage,chat", "--ledger", ledger))
    assert said == f"{made['id']}: models: a; routes: chat, usage; limits: 2 at once, 9 tokens/month\n"
    said = done(
        here(
            *("keys", "set", made["id"], "--models", "all", "--routes", "all"),
            "--concurrent",
            "none",
            "--ledger",
            ledger,
        )
    )
    assert said == f"{made['id']}: models: all; routes: all; limits: 9 tokens/month\n"
    caller = opens(ledger, made["key"])
    assert caller is not None
    assert (caller.key.models, caller.key.routes, caller.key.limits) == (None, None, Limits(monthly_tokens=9))
    assert "routes: one or more of" in refused(
        here("keys", "set", made["id"], "--routes", "chat,everything", "--ledger", ledger), exit_code=2
    )


def test_the_first_admin_key_needs_nothing_but_the_ledger(ledger: str) -> None:
    made = json_of("keys", "create", "--admin", "--name", "first", "--ledger", ledger)
    assert (made["account"], made["routes"]) == ("admin", ["admin"])
    caller = opens(ledger, made["key"])
    assert caller is not None
    assert [group for group in ("chat", "models", "usage", "admin") if caller.key.may_call(group)] == ["admin"]
    both = json_of("keys", "create", "--admin", "--routes", "usage", "--account", "local", "--ledger", ledger)
    assert (both["account"], both["routes"]) == ("local", ["admin", "usage"])
    again = json_of("keys", "create", "--admin", "--ledger", ledger)
    assert again["account"] == "admin"
    ordinary = opens(ledger, json_of("keys", "create", "--ledger", ledger)["key"])
    assert ordinary is not None
    assert not ordinary.key.may_call("admin")


def test_the_keys_of_one_account(ledger: str) -> None:
    done(here("accounts", "create", "lab-2", "--name", "The lab", "--ledger", ledger))
    ours = json_of("keys", "create", "--account", "lab-2", "--ledger", ledger)
    json_of("keys", "create", "--ledger", ledger)
    listed = json_of("keys", "list", "--account", "lab-2", "--ledger", ledger)["keys"]
    assert [key["id"] for key in listed] == [ours["id"]]
    assert "The lab" in done(here("accounts", "list", "--ledger", ledger))
