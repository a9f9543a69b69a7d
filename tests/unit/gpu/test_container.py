"""A container's life, hook by hook, with a scripted engine in place of a model: what is told, when, and to whom."""

import base64
import json
import socket
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import pytest

from functions.gpu import container as container_module
from functions.gpu.container import Container
from functions.gpu.engine import EngineOptions, ModelUnreadable
from functions.gpu.http_server import NotListening
from penstock import keys
from penstock.errors import Unavailable
from penstock.ledger import Account, Key, open_ledger
from penstock.models import ConfigError
from penstock.objects import open_objects
from tests.integration.gpu.scripted import ScriptedEngine
from tests.integration.gpu.shard_stand import chats, order, put_shard
from tests.integration.gpu.stand import CONFIG, SINCE, TICKET_KEYS, chat

pytestmark = pytest.mark.anyio

KEY = keys.mint()
PATIENCE_S = 60.0


class Loaded(ScriptedEngine):
    """An engine that was loaded."""

    load_seconds: dict[str, float] = {"weights": 0.5, "graphs": 0.25}  # noqa: RUF012 (read only)


@dataclass
class Model:
    """What stands in for a model's weights; `wrong` is what is wrong with them, when they are read and placed."""

    wrong: dict[str, ModelUnreadable] = field(default_factory=dict)
    prepared: list[EngineOptions] = field(default_factory=list)
    retired: threading.Event = field(default_factory=threading.Event)

    def prepare(self, options: EngineOptions) -> Any:
        """As `prepare_engine`."""
        self.prepared.append(options)
        if "read" in self.wrong:
            raise self.wrong["read"]
        return self

    def start(self) -> Loaded:
        """As `PreparedEngine.start`."""
        if "placed" in self.wrong:
            raise self.wrong["placed"]
        return Loaded("a", "b")

    def container(self) -> Container:
        """A container of it, prepared."""
        made = Container(retire=self.retired.set)
        made.prepare()
        return made


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Model:
    """The model, and the environment of its container."""
    made = Model()
    monkeypatch.setattr(container_module, "prepare_engine", made.prepare)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    for name in ("AWS_ROLE_ARN", "AWS_ACCESS_KEY_ID", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ROLE_SESSION_NAME"):
        monkeypatch.setenv(name, "")  # so that what is set is undone
        monkeypatch.delenv(name)
    for name, value in {
        "MODEL": "demo",
        "CONFIG": str(CONFIG),
        "LEDGER_URL": f"sqlite:///{tmp_path / 'ledger.db'}",
        "TICKET_KEYS": TICKET_KEYS,
        "DEVICE": "cpu",
        "BIND": "127.0.0.1",
        "EXPIRE_EVERY_S": "0",
    }.items():
        monkeypatch.setenv(f"PENSTOCK_{name}", value)
    monkeypatch.setenv("MODAL_TASK_ID", "ta-1")
    return made


@pytest.fixture
def port() -> int:
    """A port that was free just now."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


async def enrol(url: str) -> None:
    ledger = await open_ledger(url)
    await ledger.create_account(Account("acme", "Acme", SINCE))
    await ledger.create_key(Key(KEY.id, "acme", "laptop", KEY.digest(), SINCE))
    await ledger.close()


def get(port: int, path: str) -> httpx2.Response:
    return httpx2.get(f"http://127.0.0.1:{port}{path}", timeout=PATIENCE_S, trust_env=False)


async def test_calls_are_answered_between_its_hooks(model: Model, tmp_path: Path) -> None:
    await enrol(f"sqlite:///{tmp_path / 'ledger.db'}")
    one = model.container()
    direct = await one.open()
    answer = await direct.whole(chat(), api_key=KEY.reveal(), call="in-1")
    await one.close()
    assert answer["choices"][0]["message"]["content"] == "ab"
    with pytest.raises(Unavailable):
        await direct.whole(chat(), api_key=KEY.reveal(), call="in-2")
    assert not model.retired.is_set()


async def test_orders_are_carried_out_between_its_hooks(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await enrol(f"sqlite:///{tmp_path / 'ledger.db'}")
    monkeypatch.setenv("PENSTOCK_OBJECTS_URL", f"file://{tmp_path / 'objects'}")
    objects = await open_objects(f"file://{tmp_path / 'objects'}")
    await put_shard(objects, chats(3))
    await objects.close()
    one = model.container()
    worker = await one.work()
    outcome = await worker.run(order(key_id=KEY.id))
    await one.close()
    assert (outcome["completed"], outcome["failed"]) == (3, 0)
    with pytest.raises(Unavailable):
        await worker.run(order(key_id=KEY.id))


async def test_without_object_storage_there_are_no_orders(model: Model) -> None:
    one = model.container()
    with pytest.raises(ConfigError, match="PENSTOCK_OBJECTS_URL"):
        await one.work()
    await one.close()


async def test_requests_are_answered_between_its_hooks(model: Model, port: int, tmp_path: Path) -> None:
    await enrol(f"sqlite:///{tmp_path / 'ledger.db'}")
    one = model.container()
    one.listen(port)
    assert get(port, "/health/ready").status_code == 200
    one.stop_listening()
    with pytest.raises(httpx2.ConnectError):
        get(port, "/health/ready")


@pytest.mark.parametrize("when", ["read", "placed"])
async def test_a_model_that_cannot_be_loaded_is_told_to_who_calls(model: Model, when: str) -> None:
    model.wrong[when] = ModelUnreadable("no weights")
    with pytest.raises(Unavailable) as refused:
        await model.container().open()
    assert (refused.value.code, refused.value.headers["x-should-retry"]) == ("model_unreadable", "false")


@pytest.mark.parametrize("when", ["read", "placed"])
def test_a_model_that_cannot_be_loaded_is_told_for_a_while_over_http(
    model: Model, port: int, when: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(container_module, "TELL_FOR_S", 0.2)
    model.wrong[when] = ModelUnreadable("no\nweights")
    one = model.container()
    one.listen(port)
    answer = get(port, "/v1/chat/completions")
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "model_unreadable")
    assert model.retired.wait(PATIENCE_S)
    one.stop_listening()


def test_nothing_retires_a_container_that_has_ended(model: Model, port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(container_module, "TELL_FOR_S", 0.5)
    model.wrong["read"] = ModelUnreadable("no weights")
    one = model.container()
    one.listen(port)
    one.stop_listening()
    assert not model.retired.wait(1.0)


def token(good_for_s: float) -> str:
    claims = json.dumps({"exp": time.time() + good_for_s}).encode()
    return f"e30.{base64.urlsafe_b64encode(claims).rstrip(b'=').decode()}.sig"


@pytest.mark.parametrize(("good_for_s", "retires"), [(7_200.0, False), (10.0, True)])
async def test_it_retires_before_its_identity_ends(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, good_for_s: float, retires: bool
) -> None:
    monkeypatch.setattr(container_module, "TELL_FOR_S", 0.0)
    monkeypatch.setenv("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/penstock-gpu")
    monkeypatch.setenv("MODAL_IDENTITY_TOKEN", token(good_for_s))
    await enrol(f"sqlite:///{tmp_path / 'ledger.db'}")
    one = model.container()
    await one.open()
    assert model.retired.wait(PATIENCE_S if retires else 0.2) is retires
    await one.close()


async def test_secrets_are_read_anew_after_the_snapshot(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = model.container()
    other = f"sqlite:///{tmp_path / 'other.db'}"
    await enrol(other)
    monkeypatch.setenv("MODAL_TASK_ID", "ta-2")
    monkeypatch.setenv("PENSTOCK_LEDGER_URL", other)
    direct = await one.open()
    assert (await direct.whole(chat(), api_key=KEY.reveal(), call="in-1"))["object"] == "chat.completion"
    await one.close()
    assert len(model.prepared) == 1


@pytest.mark.parametrize("woken", [False, True])
async def test_weights_that_were_not_there_are_looked_for_again_once_it_is_woken(
    model: Model, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, woken: bool
) -> None:
    await enrol(f"sqlite:///{tmp_path / 'ledger.db'}")
    model.wrong["read"] = ModelUnreadable("not pulled")
    one = model.container()
    model.wrong.clear()
    if woken:
        monkeypatch.setenv("MODAL_TASK_ID", "ta-2")
        await one.open()
        await one.close()
    else:
        with pytest.raises(Unavailable, match="cannot be loaded"):
            await one.open()
    assert len(model.prepared) == 1 + woken


async def test_weights_that_have_changed_since_the_snapshot_are_read_anew(
    model: Model, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    await enrol(f"sqlite:///{tmp_path / 'ledger.db'}")
    one = model.container()
    monkeypatch.setenv("MODAL_TASK_ID", "ta-2")
    monkeypatch.setenv("PENSTOCK_MAX_RUNNING", "3")
    await one.open()
    await one.close()
    assert [options.max_running for options in model.prepared] == [64, 3]


@pytest.mark.parametrize("url", ["sqlite:////nowhere/at/all/ledger.db"])
async def test_a_ledger_that_is_away_is_told(
    model: Model, port: int, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PENSTOCK_LEDGER_URL", url)
    with pytest.raises(Unavailable) as refused:
        await model.container().open()
    assert refused.value.code == "startup_failed"
    one = model.container()
    with pytest.raises(NotListening):
        one.listen(port)
    one.stop_listening()


def test_a_model_that_is_not_in_the_table_is_one_clear_error(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENSTOCK_MODEL", "another")
    with pytest.raises(ConfigError, match="no model 'another'"):
        model.container()
