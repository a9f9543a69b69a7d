"""Accounts, on either store."""

import pytest

from tests.integration.cli.command import done, here, json_of, refused

NO_LIMITS = {
    "requests_per_minute": None,
    "tokens_per_minute": None,
    "concurrent_requests": None,
    "monthly_budget_nano_usd": None,
    "monthly_budget_usd": None,
    "monthly_tokens": None,
}


def test_an_account_with_everything(ledger: str) -> None:
    done(
        here(
            *("accounts", "create", "lab-2", "--name", "The lab", "--ledger", ledger, "--no-keep-answers"),
            *("--requests-per-minute", "5", "--monthly-budget", "2.5", "--monthly-tokens", "1000000"),
        )
    )
    made = {account["id"]: account for account in json_of("accounts", "list", "--ledger", ledger)["accounts"]}["lab-2"]
    assert (made["name"], made["enabled"], made["keep_answers"]) == ("The lab", True, False)
    assert made["limits"] == {
        **NO_LIMITS,
        "requests_per_minute": 5,
        "monthly_budget_nano_usd": 2_500_000_000,
        "monthly_budget_usd": "2.5",
        "monthly_tokens": 1_000_000,
    }
    assert "keeps no answers" in done(here("accounts", "list", "--ledger", ledger))


def test_an_accounts_limits_change_one_by_one(ledger: str) -> None:
    done(here("accounts", "set", "local", "--monthly-budget", "5", "--concurrent", "4", "--ledger", ledger))
    said = done(here("accounts", "set", "local", "--concurrent", "none", "--disable", "--ledger", ledger))
    assert said == "local: disabled; limits: $5/month\n"
    (account,) = json_of("accounts", "list", "--ledger", ledger)["accounts"]
    assert account["enabled"] is False
    assert account["limits"] == {**NO_LIMITS, "monthly_budget_nano_usd": 5_000_000_000, "monthly_budget_usd": "5"}
    said = done(here("accounts", "set", "local", "--enable", "--no-keep-answers", "--ledger", ledger))
    assert said == "local: enabled, keeps no answers; limits: $5/month\n"
    said = done(here("accounts", "set", "local", "--monthly-tokens", "7", "--keep-answers", "--ledger", ledger))
    assert said == "local: enabled; limits: $5/month, 7 tokens/month\n"


def test_an_account_that_is_there_or_is_not_is_one_line(ledger: str) -> None:
    assert "already" in refused(here("accounts", "create", "local", "--ledger", ledger))
    assert "no account 'nobody'" in refused(here("accounts", "set", "nobody", "--ledger", ledger))
    assert "no account 'nobody'" in refused(here("keys", "create", "--account", "nobody", "--ledger", ledger))
    assert "no account 'nobody'" in refused(here("usage", "--account", "nobody", "--ledger", ledger))


@pytest.mark.parametrize("account_id", ["", "no/slash", "x" * 65, "ps_pasted", "two\nlines"])
def test_an_id_that_cannot_be_is_refused_before_the_ledger_is_opened(account_id: str) -> None:
    said = refused(here("accounts", "create", account_id, "--ledger", "sqlite:////no/where"), exit_code=2)
    assert said.startswith("id: ")
