"""Workers on Modal, as its client shows them: calls are spawned, asked about and cancelled by their names."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import modal
import modal.exception
import pytest
from pydantic import SecretStr

from functions.batch.workers import CallState, WorkersUnavailable
from functions.batch.workers import modal as workers_module
from functions.batch.workers.modal import ModalWorkers
from penstock.batches.orders import Order
from penstock.settings import BatchSettings

pytestmark = pytest.mark.anyio

ORDER = Order("batch_1", 3, "Demo-7B", "acme", "key", 10**15)


class Scripted:
    """Modal's client; `answer` is what the next request gives or raises."""

    def __init__(self) -> None:
        self.answer: Any = None
        self.found: list[tuple[str, str, object]] = []
        self.orders: list[Any] = []
        self.cancelled: list[tuple[str, object]] = []
        self.tokens: list[tuple[str, str]] = []

    def from_name(self, app: str, name: str, *, client: object) -> Any:
        self.found.append((app, name, client))

        async def spawn(order: Any) -> Any:
            self._answered()
            self.orders.append(order)
            return SimpleNamespace(object_id="fc-1")

        return lambda: SimpleNamespace(run=SimpleNamespace(spawn=SimpleNamespace(aio=spawn)))

    def from_id(self, call: str, *, client: object) -> Any:
        async def get(*, timeout: float) -> Any:  # noqa: ASYNC109 (as Modal has it)
            assert timeout == 0
            return self._answered()

        async def cancel() -> None:
            self._answered()
            self.cancelled.append((call, client))

        return SimpleNamespace(get=SimpleNamespace(aio=get), cancel=SimpleNamespace(aio=cancel))

    async def from_credentials(self, token_id: str, token_secret: str) -> Any:
        self.tokens.append((token_id, token_secret))
        return f"client of {token_id}"

    def _answered(self) -> Any:
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Scripted:
    """What Modal does."""
    scripted = Scripted()
    monkeypatch.setattr(modal.Cls, "from_name", scripted.from_name)
    monkeypatch.setattr(modal.FunctionCall, "from_id", scripted.from_id)
    monkeypatch.setattr(modal.Client, "from_credentials", SimpleNamespace(aio=scripted.from_credentials))
    return scripted


def workers(folder: Path, **changes: Any) -> ModalWorkers:
    table = folder / "penstock.toml"
    table.write_text('[deployment]\napp = "acme-llm"\n')
    settings = BatchSettings(ledger_url="dynamodb://any", objects_url=f"file://{folder}", config=table, **changes)
    return ModalWorkers(settings)


async def test_an_order_is_spawned_on_the_model_s_worker(script: Scripted, tmp_path: Path) -> None:
    assert await workers(tmp_path).start(ORDER) == "fc-1"
    ((app, name, client),) = script.found
    assert (app, client) == ("acme-llm", None)
    assert name.startswith("Worker_Demo_7B_")
    assert Order.read(script.orders[0]) == ORDER


@pytest.mark.parametrize(
    ("answer", "state"),
    [
        ({"completed": 1}, CallState.ENDED),
        (TimeoutError(), CallState.RUNNING),
        (modal.exception.OutputExpiredError(), CallState.FAILED),
        (modal.exception.FunctionTimeoutError("too long"), CallState.FAILED),
        (modal.exception.RemoteError("died"), CallState.FAILED),
        (modal.exception.NotFoundError("no such call"), CallState.FAILED),
        (modal.exception.InputCancellation("cancelled"), CallState.FAILED),
        (RuntimeError("raised in the container"), CallState.FAILED),
    ],
)
async def test_what_became_of_a_call(script: Scripted, tmp_path: Path, answer: object, state: CallState) -> None:
    script.answer = answer
    assert await workers(tmp_path).state("demo", "fc-1") is state


AWAY = [modal.exception.ConnectionError("away"), modal.exception.AuthError("no"), OSError("away")]


@pytest.mark.parametrize("error", AWAY, ids=lambda error: type(error).__name__)
async def test_where_modal_cannot_be_asked_nothing_is_known(script: Scripted, tmp_path: Path, error: Exception) -> None:
    script.answer = error
    made = workers(tmp_path)
    for asked in (made.start(ORDER), made.state("demo", "fc-1"), made.cancel("demo", "fc-1")):
        with pytest.raises(WorkersUnavailable, match=type(error).__name__):
            await asked


async def test_a_call_is_cancelled_by_its_name(script: Scripted, tmp_path: Path) -> None:
    await workers(tmp_path).cancel("demo", "fc-9")
    assert script.cancelled == [("fc-9", None)]


async def test_the_token_of_the_settings_is_used_and_a_rotated_one_after_it(
    script: Scripted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from penstock import parameter_store

    kept = {"/modal/secret": "as-1"}

    async def read_parameters(names: object) -> dict[str, str]:
        return dict(kept)

    monkeypatch.setattr(parameter_store, "read_parameters", read_parameters)
    monkeypatch.setattr("functions.batch.kept_secrets.monotonic", iter(range(0, 10_000, 1_000)).__next__)
    secret = SecretStr("ssm:/modal/secret")
    made = workers(tmp_path, modal_token_id=SecretStr("ak-1"), modal_token_secret=secret)
    await made.start(ORDER)
    await made.cancel("demo", "fc-1")
    assert script.tokens == [("ak-1", "as-1")]
    assert script.cancelled == [("fc-1", "client of ak-1")]
    kept["/modal/secret"] = "as-2"
    await made.start(ORDER)
    assert script.tokens == [("ak-1", "as-1"), ("ak-1", "as-2")]


def test_modal_is_not_loaded_before_it_is_needed() -> None:
    assert not hasattr(workers_module, "modal")
