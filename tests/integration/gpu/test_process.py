"""The process itself, as it is deployed: uvicorn, the factory, the environment, a real model."""

import signal
from pathlib import Path
from typing import Any

import httpx2
import orjson
import pytest

from penstock.clock import now_ms
from penstock.ledger import Account, Caller, Key, open_ledger
from tests.integration.gpu.running import gpu, ready, ticket
from tests.integration.gpu.stand import CHAT, TICKET_KEYS, chat, events, text_of, until
from tests.tiny_model import make_tiny_model

pytestmark = pytest.mark.anyio

STARTING = 90.0  # seconds: a busy machine imports torch slowly
SECRET_PROMPT = "the heron stands at the sluice"


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model's folder."""
    return make_tiny_model(tmp_path_factory.mktemp("tiny"))


async def test_a_real_model_answers_and_nothing_secret_is_logged(tmp_path: Path, tiny: Path) -> None:
    (tmp_path / "tiny").symlink_to(tiny)
    with gpu(tmp_path) as running:
        ledger = await open_ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
        caller = Caller(Account("acme", "Acme", now_ms()), Key("key_1", "acme", "laptop", "0" * 64, now_ms()))
        await ledger.create_account(caller.account)
        await ledger.create_key(caller.key)
        tickets: list[str] = []

        async def post(request: dict[str, Any], *, in_query: bool = False) -> httpx2.Response:
            body = orjson.dumps({**request, "model": "tiny"})
            tickets.append(await ticket(ledger, caller, tmp_path / "penstock.toml", body))
            where: dict[str, Any] = (
                {"params": {"ticket": tickets[-1]}} if in_query else {"headers": {"Penstock-Ticket": tickets[-1]}}
            )
            return await http.post(CHAT, content=body, **where)

        asked = chat(SECRET_PROMPT, max_tokens=12, seed=3)
        async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{running.port}", timeout=60) as http:
            await ready(http, running)
            whole = await post(asked)
            streamed = await post({**asked, "stream": True, "stream_options": {"include_usage": True}})
            direct = await post(asked, in_query=True)
            await http.post(CHAT, params={"ticket": tickets[0]}, content=b"{}")
            await http.post(CHAT, params={"ticket": "x.y.z"}, content=SECRET_PROMPT.encode())
            await http.get(f"/v1/{SECRET_PROMPT}", params={"ticket": tickets[0]})
            await post(chat(SECRET_PROMPT * 20))
        records = await ledger.records()
        await ledger.close()
        running.process.send_signal(signal.SIGTERM)
        await until("it stops", lambda: running.process.poll() is not None)
        lines, output = running.lines(), running.output()

    answer = whole.json()["choices"][0]["message"]["content"]
    *_, usage, done = events(streamed.text)
    assert done == "[DONE]"
    assert text_of(events(streamed.text)) == answer == direct.json()["choices"][0]["message"]["content"]
    first, second = whole.json()["usage"], usage["usage"]
    assert first.pop("prompt_tokens_details")["cached_tokens"] == 0
    assert second.pop("prompt_tokens_details")["cached_tokens"] > 0  # the same prompt, of the same account
    assert first == second
    assert {(record.usage.prompt_tokens, record.usage.completion_tokens) for record in records} == {
        (usage["usage"]["prompt_tokens"], usage["usage"]["completion_tokens"])
    }
    assert len(records) == 3
    requests = [line for line in lines if line["event"] == "request"]
    assert len(requests) == 7
    assert {line["process"] for line in lines} == {"gpu"}
    assert requests[0].keys() >= {
        *("request_id", "account", "key_id", "model", "prompt_tokens", "completion_tokens"),
        *("duration_ms", "ttft_ms", "outcome", "status"),
    }
    secrets = [SECRET_PROMPT, "heron", answer, *tickets, *(one.split(".")[2] for one in tickets), TICKET_KEYS[5:]]
    assert [secret for secret in secrets if secret in output] == []


@pytest.mark.parametrize(
    ("environment", "event", "says"),
    [
        ({}, "model_unreadable", "tiny"),
        ({"PENSTOCK_MODEL": "absent"}, "startup_failed", "absent"),
        ({"PENSTOCK_CONFIG": "/nowhere/penstock.toml"}, "startup_failed", "/nowhere/penstock.toml"),
        ({"PENSTOCK_TICKET_KEYS": "a:c2hvcnQ="}, "startup_failed", "PENSTOCK_TICKET_KEYS"),
        ({"PENSTOCK_LEDGER_URL": "sqlite:////nowhere/at/all.db"}, "startup_failed", "/nowhere/at/all.db"),
        ({"PENSTOCK_LEDGER_URL": "ftp://ledger"}, "startup_failed", "ftp"),
    ],
)
async def test_a_start_that_fails_is_one_line_and_code_3(
    tmp_path: Path, environment: dict[str, str], event: str, says: str
) -> None:
    (tmp_path / "tiny").mkdir()
    with gpu(tmp_path, **environment) as running:
        await until("it ends", lambda: running.process.poll() is not None, STARTING)
        code, (line,) = running.process.returncode, running.lines()
        output = running.output()
    assert code == 3
    assert line["event"] == event
    assert says in line["error"]
    assert "\n" not in line["error"]
    assert "Traceback" not in output
    assert "c2hvcnQ=" not in output
