"""Settings of the processes, from the environment: `PENSTOCK_<NAME>`.

Each process reads its own class. Secrets are of a type that cannot be printed.
"""

from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self, TypeVar

from pydantic import AfterValidator, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from penstock import webhook
from penstock.gpu_urls import GpuUrls
from penstock.ledger import check_url
from penstock.models import ConfigError
from penstock.objects.urls import check_objects_url
from penstock.origins import parse_origins
from penstock.secrets import check_header, given, given_or_kept
from penstock.ticket import TicketKeys


def _gpu_urls(text: str) -> str:
    GpuUrls.parse(text)
    return text


def _origins(text: str) -> str:
    parse_origins(text)
    return text


GpuUrl = Annotated[str, AfterValidator(_gpu_urls)]
StoreUrl = Annotated[str, AfterValidator(check_url)]
ObjectsUrl = Annotated[str, AfterValidator(check_objects_url)]
SigningKeys = Annotated[SecretStr, AfterValidator(given(TicketKeys.parse))]
# Of these, each is the secret itself or `ssm:NAME` (see `penstock.secrets`), which the edge reads when it needs it.
KeptSigningKeys = Annotated[SecretStr, AfterValidator(given_or_kept(TicketKeys.parse))]
KeptHeader = Annotated[SecretStr, AfterValidator(given_or_kept(check_header))]
KeptWebhookSecret = Annotated[SecretStr, AfterValidator(given_or_kept(webhook.check_secret))]
WebhookUrl = Annotated[str, AfterValidator(webhook.check_url)]


class LedgerSettings(BaseSettings):
    """What every process has, and all that the reconciler needs."""

    model_config: ClassVar[SettingsConfigDict] = SettingsConfigDict(
        env_prefix="PENSTOCK_",
        frozen=True,
        defer_build=True,  # each process reads its own class, and need not build the others
    )

    ledger_url: StoreUrl = Field(description="Where the ledger is: sqlite:///PATH or dynamodb://TABLE.")
    log_level: str = Field(default="info", pattern="^(debug|info|warning|error)$")


class Settings(LedgerSettings):
    """What the edge and the GPU process share."""

    ticket_keys: SigningKeys = Field(description="Ticket signing keys, id:base64 separated by commas; the first signs.")
    config: Path = Field(default=Path("penstock.toml"), description="The table of served models.")
    max_body_bytes: int = Field(default=4 << 20, ge=1 << 10, le=64 << 20)
    # From the request to the first word of the GPU: a cold start and a place in its queue.
    startup_budget_s: int = Field(default=300, ge=5, le=900)
    heartbeat_after_s: float = Field(default=20.0, gt=0, le=60)
    heartbeat_every_s: float = Field(default=5.0, gt=0, le=60)


class EdgeSettings(Settings):
    """The edge's own."""

    ticket_keys: KeptSigningKeys = Field(
        description="Ticket signing keys, as id:base64 separated by commas, of which the first signs; or ssm:NAME."
    )
    gpu_url: GpuUrl = Field(
        description="The GPU process, as the edge reaches it: a URL, with {model} for the name, or JSON of URLs."
    )
    # Set, it allows direct delivery: the GPU process as clients reach it.
    gpu_public_url: GpuUrl | None = None
    # What Modal's proxy asks of the edge: the two halves of a proxy auth token. No client ever sees them.
    gpu_key: KeptHeader | None = None
    gpu_secret: KeptHeader | None = None
    # How long what a reference led to is used, before it is read again.
    secrets_cache_s: int = Field(default=300, ge=1, le=86_400)
    relay_connections: int = Field(default=1_000, ge=1, le=10_000)
    # How long what was looked up of a key, or of the switch over everybody, is believed; 0: not at all.
    caller_cache_s: float = Field(default=5.0, ge=0, le=60)
    # How long an answer is kept for its Idempotency-Key.
    idempotency_retention_s: int = Field(default=86_400, ge=60, le=604_800)
    # What is done where a request's Penstock-Delivery says nothing.
    delivery: Literal["relay", "direct"] = "relay"
    # Whose pages may call from a browser: origins separated by commas, or *; unset, nobody's.
    cors_origins: Annotated[str, AfterValidator(_origins)] = ""
    # Where files are kept; unset, there are no files and no batches here.
    objects_url: ObjectsUrl | None = None
    # Where the book of files and batches is; unset, in the ledger's store.
    book_url: StoreUrl | None = None
    # Of a file that comes in one request, and of one whose content is put at a signed URL.
    max_upload_bytes: int = Field(default=512 << 20, ge=1 << 10, le=5 << 30)
    max_file_bytes: int = Field(default=4 << 30, ge=1 << 10, le=5 << 30)

    @model_validator(mode="after")
    def _whole_credentials(self) -> Self:
        if (self.gpu_key is None) != (self.gpu_secret is None):
            raise ValueError("PENSTOCK_GPU_KEY and PENSTOCK_GPU_SECRET must be set both, or neither")
        return self

    @model_validator(mode="after")
    def _somewhere_to_send_to(self) -> Self:
        if self.delivery == "direct" and self.gpu_public_url is None:
            raise ValueError("PENSTOCK_DELIVERY=direct needs PENSTOCK_GPU_PUBLIC_URL")
        return self

    def origins(self) -> list[str]:
        """Those whose pages may call."""
        return parse_origins(self.cors_origins)


class DirectSettings(Settings):
    """Of every process that direct calls reach."""

    # The id of the API key that pays for direct calls which bring none.
    service_key_id: str | None = Field(default=None, pattern="^[0-9A-Za-z_]{1,64}$")


class BatchSettings(LedgerSettings):
    """The batch functions'."""

    objects_url: ObjectsUrl = Field(description="Where files are kept: s3://BUCKET or file:///FOLDER.")
    # Where the book of files and batches is; unset, in the ledger's store. Whoever has this book works on its batches.
    book_url: StoreUrl | None = None
    config: Path = Field(default=Path("penstock.toml"), description="The table of served models.")
    max_body_bytes: int = Field(default=4 << 20, ge=1 << 10, le=64 << 20, description="Of one line's body.")
    # The id of the API key that pays for what is dropped without saying whose it is.
    service_key_id: str | None = Field(default=None, pattern="^[0-9A-Za-z_]{1,64}$")
    # A shard is for one worker: so many tokens at most, by their bound, and so many lines.
    shard_tokens: int = Field(default=500_000, ge=1, le=1 << 40)
    shard_lines: int = Field(default=2_000, ge=1, le=10_000)
    # Shards of a model under way at once, of all batches; unset, twice its max_containers.
    shards_at_once: int | None = Field(default=None, ge=1, le=10_000)
    # And of an account, of all models: its leases are one item of DynamoDB, which carries some 100 containers.
    shards_of_account: int = Field(default=200, ge=1, le=10_000)
    # Times that a shard is started, without a line more than before, until what is left of it is given up.
    shard_attempts: int = Field(default=5, ge=1, le=100)
    # Modal's token of the deployment; unset, as Modal's client finds it.
    modal_token_id: KeptHeader | None = None
    modal_token_secret: KeptHeader | None = None
    secrets_cache_s: int = Field(default=300, ge=1, le=86_400)
    # Where messages wait, and who is told of a batch's end: a topic, a webhook, both, or nobody.
    queue_url: str | None = Field(default=None, pattern="^https?://")
    topic_arn: str | None = Field(default=None, pattern="^arn:")
    webhook_url: WebhookUrl | None = None
    webhook_secret: KeptWebhookSecret | None = None

    @model_validator(mode="after")
    def _whole_token(self) -> Self:
        if (self.modal_token_id is None) != (self.modal_token_secret is None):
            raise ValueError("PENSTOCK_MODAL_TOKEN_ID and PENSTOCK_MODAL_TOKEN_SECRET must be set both, or neither")
        return self

    @model_validator(mode="after")
    def _signed(self) -> Self:
        if (self.webhook_url is None) != (self.webhook_secret is None):
            raise ValueError("PENSTOCK_WEBHOOK_URL and PENSTOCK_WEBHOOK_SECRET must be set both, or neither")
        return self


class GpuSettings(DirectSettings):
    """The GPU process's own."""

    # Where batches are kept; without it, this process works on none.
    objects_url: ObjectsUrl | None = None

    model: str = Field(description="The served model, by its name in the table.")
    max_waiting: int = Field(default=256, ge=1, le=100_000, description="Requests that may wait for the engine.")
    checkpoint_tokens: int = Field(default=1_000, ge=1, le=100_000)
    checkpoint_every_s: float = Field(default=20.0, gt=0, le=120)
    # A claimed lease is closed when it has not been renewed for so long.
    lease_s: float = Field(default=90.0, gt=0, le=900)
    # Where settlements wait for a ledger that is away, so that they outlive the process; unset, in memory.
    spool: Path | None = None
    # How often this process closes dead leases; 0: something else does it for the whole fleet.
    expire_every_s: float = Field(default=30.0, ge=0, le=3_600)
    threads: int | None = Field(default=None, ge=1, le=1_024, description="CPU threads for torch.")
    max_running: int = Field(default=64, ge=1, le=4_096, description="Answers that are generated at once.")
    step_tokens: int = Field(default=512, ge=1, le=1 << 20, description="Tokens that one step computes at most.")
    # How much longer than a step that only decodes one may take that also reads prompts.
    stretch: float = Field(default=2.0, gt=1, le=100, allow_inf_nan=False)
    kv_gib: float | None = Field(
        default=None, gt=0, le=4_096, allow_inf_nan=False, description="For keys and values; unset: of what is free."
    )
    # Whose requests share the keys and values of a prompt's beginning: nobody's, an account's, or all.
    prefix_cache: Literal["off", "owner", "shared"] = "owner"
    model_cache: Path | None = Field(
        default=None, description="Where snapshots of the hub are kept; unset: as the hub."
    )
    weights: Path | None = Field(
        default=None, description="A folder of pulled weights; set, nothing else is looked at, or downloaded."
    )
    # None: a GPU if there is one. Said where the GPU comes only after the weights are in memory.
    device: Literal["cuda", "cpu"] | None = None
    bind: str = Field(default="0.0.0.0", description="The address that a container listens on.")  # noqa: S104
    # How long requests that run may go on once the process is to end. What is then ended has 10 s, its settlements too.
    shutdown_grace_s: float = Field(default=10.0, gt=0, le=3_600)
    offline: bool = Field(default=False, description="Whether a model that is not there is refused, not downloaded.")
    metrics_token: SecretStr | None = Field(default=None, min_length=16, description="Unset, /metrics is open.")

    @model_validator(mode="after")
    def _renewed_in_time(self) -> Self:
        if self.lease_s < 2 * self.checkpoint_every_s:
            raise ValueError("PENSTOCK_LEASE_S must be at least twice PENSTOCK_CHECKPOINT_EVERY_S")
        return self

    @model_validator(mode="after")
    def _a_token_each(self) -> Self:
        if self.step_tokens < self.max_running:
            raise ValueError("PENSTOCK_STEP_TOKENS must be at least PENSTOCK_MAX_RUNNING: a step has a token of each")
        return self


S = TypeVar("S", bound=LedgerSettings)


def read_settings(kind: type[S]) -> S:
    """The settings from the environment. Raises ConfigError, in one line that shows no value."""
    try:
        return kind()
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        name = "_".join(str(part) for part in first["loc"])
        where = f"PENSTOCK_{name.upper()}: " if name else ""
        # Not `from error`: a program that ends on this would show that one too, and it shows the value.
        raise ConfigError(f"{where}{first['msg'].removeprefix('Value error, ')}") from None
