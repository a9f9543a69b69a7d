"""The settings: read from the environment, and refused in one line that shows no value."""

import os
from pathlib import Path

import pytest

from penstock.models import ConfigError
from penstock.secrets import name_in
from penstock.settings import EdgeSettings, GpuSettings, Settings, read_settings

SECRET = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
EDGE = {
    "PENSTOCK_LEDGER_URL": "sqlite:///ledger.db",
    "PENSTOCK_TICKET_KEYS": f"k1:{SECRET}",
    "PENSTOCK_GPU_URL": "http://127.0.0.1:9000",
}
GPU = {name: value for name, value in EDGE.items() if name != "PENSTOCK_GPU_URL"} | {"PENSTOCK_MODEL": "demo"}
KINDS: list[tuple[type[Settings], dict[str, str]]] = [(EdgeSettings, EDGE), (GpuSettings, GPU)]


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start from an environment without any of ours."""
    for name in list(os.environ):
        if name.upper().startswith("PENSTOCK_"):
            monkeypatch.delenv(name)


def set_all(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize(("kind", "environment"), KINDS)
def test_the_least_that_a_process_needs(
    monkeypatch: pytest.MonkeyPatch, kind: type[Settings], environment: dict[str, str]
) -> None:
    set_all(monkeypatch, environment)
    settings = read_settings(kind)
    assert settings.ledger_url == "sqlite:///ledger.db"
    assert settings.ticket_keys.get_secret_value() == f"k1:{SECRET}"
    assert settings.config == Path("penstock.toml")


@pytest.mark.parametrize(
    ("kind", "environment", "name"), [(kind, environment, name) for kind, environment in KINDS for name in environment]
)
def test_what_is_missing_is_named(
    monkeypatch: pytest.MonkeyPatch, kind: type[Settings], environment: dict[str, str], name: str
) -> None:
    set_all(monkeypatch, environment)
    monkeypatch.delenv(name)
    with pytest.raises(ConfigError) as caught:
        read_settings(kind)
    assert str(caught.value) == f"{name}: Field required"


@pytest.mark.parametrize(
    ("kind", "name", "value"),
    [
        (EdgeSettings, "PENSTOCK_TICKET_KEYS", SECRET),
        (EdgeSettings, "PENSTOCK_TICKET_KEYS", f"{SECRET[:32]}:k1"),
        (EdgeSettings, "PENSTOCK_TICKET_KEYS", "k1:c2hvcnRzZWNyZXQ="),
        (GpuSettings, "PENSTOCK_TICKET_KEYS", f"k1:{SECRET},k1:{SECRET}"),
        (EdgeSettings, "PENSTOCK_MAX_BODY_BYTES", "c2hvcnRzZWNyZXQ="),
        (EdgeSettings, "PENSTOCK_MAX_BODY_BYTES", "1"),
        (EdgeSettings, "PENSTOCK_STARTUP_BUDGET_S", "901"),
        (EdgeSettings, "PENSTOCK_HEARTBEAT_AFTER_S", "nan"),
        (EdgeSettings, "PENSTOCK_LOG_LEVEL", "c2hvcnRzZWNyZXQ="),
        (EdgeSettings, "PENSTOCK_CALLER_CACHE_S", "61"),
        (EdgeSettings, "PENSTOCK_CALLER_CACHE_S", "-1"),
        (EdgeSettings, "PENSTOCK_IDEMPOTENCY_RETENTION_S", "59"),
        (EdgeSettings, "PENSTOCK_IDEMPOTENCY_RETENTION_S", "604801"),
        (GpuSettings, "PENSTOCK_CHECKPOINT_TOKENS", "0"),
        (GpuSettings, "PENSTOCK_THREADS", "c2hvcnRzZWNyZXQ="),
        (GpuSettings, "PENSTOCK_LEASE_S", "inf"),
        (GpuSettings, "PENSTOCK_MAX_RUNNING", "0"),
        (GpuSettings, "PENSTOCK_STEP_TOKENS", "many"),
        (GpuSettings, "PENSTOCK_STRETCH", "1"),
        (GpuSettings, "PENSTOCK_STRETCH", "inf"),
        (GpuSettings, "PENSTOCK_KV_GIB", "0"),
        (GpuSettings, "PENSTOCK_KV_GIB", "nan"),
        (GpuSettings, "PENSTOCK_PREFIX_CACHE", "everybody"),
        (GpuSettings, "PENSTOCK_OFFLINE", "perhaps"),
        (GpuSettings, "PENSTOCK_DEVICE", "tpu"),
        (GpuSettings, "PENSTOCK_SHUTDOWN_GRACE_S", "3601"),
        (GpuSettings, "PENSTOCK_SHUTDOWN_GRACE_S", "0"),
        (GpuSettings, "PENSTOCK_SERVICE_KEY_ID", "c2hvcnRzZWNyZXQ="),
        (GpuSettings, "PENSTOCK_METRICS_TOKEN", "c2hvcnRzZWNyZXQ"),
        (EdgeSettings, "PENSTOCK_GPU_URL", "127.0.0.1:9000"),
        (EdgeSettings, "PENSTOCK_GPU_URL", "http://"),
        (EdgeSettings, "PENSTOCK_LEDGER_URL", "postgres://user:c2hvcnRzZWNyZXQ@place"),
        (GpuSettings, "PENSTOCK_LEDGER_URL", "sqlite:///"),
        (EdgeSettings, "PENSTOCK_GPU_PUBLIC_URL", "https://gpu.example?ticket=1"),
        (EdgeSettings, "PENSTOCK_GPU_PUBLIC_URL", '{"demo": "c2hvcnRzZWNyZXQ"}'),
        (EdgeSettings, "PENSTOCK_GPU_KEY", "c2hvcnRzZWNyZXQ\n"),
        (EdgeSettings, "PENSTOCK_GPU_SECRET", ""),
        (EdgeSettings, "PENSTOCK_GPU_KEY", "ssm:"),
        (EdgeSettings, "PENSTOCK_GPU_KEY", "ssm:no/slash/c2hvcnRzZWNyZXQ"),
        (EdgeSettings, "PENSTOCK_GPU_SECRET", "ssm:/c2hvcnRzZWNyZXQ/with space"),
        (EdgeSettings, "PENSTOCK_TICKET_KEYS", "ssm:c2hvcnRzZWNyZXQ="),
        (EdgeSettings, "PENSTOCK_TICKET_KEYS", "ssm:/aws/c2hvcnRzZWNyZXQ"),
        (EdgeSettings, "PENSTOCK_TICKET_KEYS", "ssm:/SSMc2hvcnRzZWNyZXQ"),
        (EdgeSettings, "PENSTOCK_TICKET_KEYS", "ssm:/aws/reference/secretsmanager/"),
        (EdgeSettings, "PENSTOCK_TICKET_KEYS", "ssm:/aws/reference/secretsmanager/c2hvcnRzZWNyZXQ!"),
        (EdgeSettings, "PENSTOCK_TICKET_KEYS", "ssm:" + "/a" * 16),
        (EdgeSettings, "PENSTOCK_TICKET_KEYS", "ssm:" + "a" * 1_012),
        (EdgeSettings, "PENSTOCK_SECRETS_CACHE_S", "0"),
        # Of 32 bytes in base64, and so a good key of the id "ssm", were it not a reference.
        (GpuSettings, "PENSTOCK_TICKET_KEYS", "ssm:/penstock/production/c2hvcnRzZWNyZXQ/ticketkey"),
        (EdgeSettings, "PENSTOCK_CORS_ORIGINS", "c2hvcnRzZWNyZXQ"),
        (EdgeSettings, "PENSTOCK_CORS_ORIGINS", "https://app.example,https://c2hvcnRzZWNyZXQ/"),
        (EdgeSettings, "PENSTOCK_DELIVERY", "c2hvcnRzZWNyZXQ"),
    ],
)
def test_what_is_wrong_is_named_in_one_line_that_does_not_show_it(
    monkeypatch: pytest.MonkeyPatch, kind: type[Settings], name: str, value: str
) -> None:
    set_all(monkeypatch, EDGE | GPU)
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError) as caught:
        read_settings(kind)
    said = str(caught.value)
    assert said.startswith(f"{name}: ")
    assert "\n" not in said
    assert SECRET[:12] not in said
    assert "c2hvcnRzZWNyZXQ" not in said


@pytest.mark.parametrize("name", ["PENSTOCK_GPU_KEY", "PENSTOCK_GPU_SECRET"])
def test_half_of_the_proxys_credentials_opens_nothing(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    set_all(monkeypatch, {**EDGE, name: "half"})
    with pytest.raises(ConfigError, match=r"^PENSTOCK_GPU_KEY and PENSTOCK_GPU_SECRET must be set both, or neither$"):
        read_settings(EdgeSettings)


def test_the_proxys_credentials_are_nothing_that_is_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    set_all(monkeypatch, EDGE)
    assert read_settings(EdgeSettings).gpu_key is None
    set_all(monkeypatch, {"PENSTOCK_GPU_KEY": "wk-hush", "PENSTOCK_GPU_SECRET": "ws-hush"})
    settings = read_settings(EdgeSettings)
    assert settings.gpu_key is not None
    assert settings.gpu_key.get_secret_value() == "wk-hush"
    assert "hush" not in f"{settings!r} {settings.model_dump_json()}"


def test_direct_delivery_needs_somewhere_to_send_clients(monkeypatch: pytest.MonkeyPatch) -> None:
    set_all(monkeypatch, {**EDGE, "PENSTOCK_DELIVERY": "direct"})
    with pytest.raises(ConfigError, match=r"^PENSTOCK_DELIVERY=direct needs PENSTOCK_GPU_PUBLIC_URL$"):
        read_settings(EdgeSettings)
    monkeypatch.setenv("PENSTOCK_GPU_PUBLIC_URL", "https://gpu.example")
    assert read_settings(EdgeSettings).delivery == "direct"


def test_origins_are_a_list(monkeypatch: pytest.MonkeyPatch) -> None:
    set_all(monkeypatch, EDGE)
    assert read_settings(EdgeSettings).origins() == []
    monkeypatch.setenv("PENSTOCK_CORS_ORIGINS", "https://app.example, http://localhost:5173")
    assert read_settings(EdgeSettings).origins() == ["https://app.example", "http://localhost:5173"]


def test_a_lease_must_outlast_two_checkpoints(monkeypatch: pytest.MonkeyPatch) -> None:
    set_all(monkeypatch, {**GPU, "PENSTOCK_LEASE_S": "39", "PENSTOCK_CHECKPOINT_EVERY_S": "20"})
    with pytest.raises(ConfigError, match=r"^PENSTOCK_LEASE_S must be at least twice PENSTOCK_CHECKPOINT_EVERY_S$"):
        read_settings(GpuSettings)


def test_a_step_has_a_token_of_each_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    set_all(monkeypatch, {**GPU, "PENSTOCK_STEP_TOKENS": "64", "PENSTOCK_MAX_RUNNING": "64"})
    assert read_settings(GpuSettings).step_tokens == 64
    monkeypatch.setenv("PENSTOCK_MAX_RUNNING", "65")
    with pytest.raises(ConfigError, match=r"^PENSTOCK_STEP_TOKENS must be at least PENSTOCK_MAX_RUNNING"):
        read_settings(GpuSettings)


def test_the_signing_keys_cannot_be_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    set_all(monkeypatch, EDGE)
    settings = read_settings(EdgeSettings)
    for text in (repr(settings), str(settings), f"{settings.model_dump()}", settings.model_dump_json()):
        assert SECRET not in text


def test_settings_do_not_change_once_read(monkeypatch: pytest.MonkeyPatch) -> None:
    set_all(monkeypatch, EDGE)
    settings = read_settings(EdgeSettings)
    with pytest.raises(ValueError, match="frozen"):
        settings.gpu_url = "http://elsewhere"  # type: ignore[misc]


@pytest.mark.parametrize(
    "name",
    [
        "/penstock/production/ticket-keys",
        "ticket_keys.2",
        "/a" * 15,
        "a" * 1_011,
        "/aws/reference/secretsmanager/penstock/Ticket+Keys@2=x",
    ],
)
def test_a_secret_may_be_a_reference(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    secret = ("PENSTOCK_TICKET_KEYS", "PENSTOCK_GPU_KEY", "PENSTOCK_GPU_SECRET")
    set_all(monkeypatch, {**EDGE, **dict.fromkeys(secret, f"ssm:{name}")})
    settings = read_settings(EdgeSettings)
    for one in (settings.ticket_keys, settings.gpu_key, settings.gpu_secret):
        assert one is not None
        assert name_in(one) == name


def test_a_secret_itself_is_no_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    set_all(monkeypatch, EDGE)
    assert name_in(read_settings(EdgeSettings).ticket_keys) is None
