"""The records of files, batches and shards. Integers only: tokens, bytes, milliseconds.

Their ids begin with the time, so that ids in order are records in order of their making. A record that changes has a
revision: the book stores a change only where the revision is still the one that was read.
"""

import secrets
from dataclasses import dataclass, field
from enum import StrEnum

from penstock.ledger.records import Usage

_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"  # in ASCII's order
_TIME_LENGTH = 8  # of milliseconds, until the year 8888
_RANDOM_LENGTH = 14

MOST_ERRORS = 100  # of a batch's input that are told
_MESSAGE, _PARAM = 300, 100  # characters of each that are told
NOTHING = Usage()


def new_file_id(now: int) -> str:
    """An id for a file made at `now`, in milliseconds."""
    return f"file-{_written(now)}{_random()}"


def new_batch_id(now: int) -> str:
    """An id for a batch made at `now`, in milliseconds."""
    return f"batch_{_written(now)}{_random()}"


def derived_id(prefix: str, now: int, digest: bytes) -> str:
    """The id of what was made of something that may be told twice: the same each time, for the same time and digest."""
    number, letters = int.from_bytes(digest), []
    for _ in range(_RANDOM_LENGTH):
        number, place = divmod(number, len(_ALPHABET))
        letters.append(_ALPHABET[place])
    return f"{prefix}{_written(now)}{''.join(letters)}"


def _written(now: int) -> str:
    letters = []
    for _ in range(_TIME_LENGTH):
        now, place = divmod(now, len(_ALPHABET))
        letters.append(_ALPHABET[place])
    return "".join(reversed(letters))


def _random() -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(_RANDOM_LENGTH))


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


class Purpose(StrEnum):
    """What a file is for, in OpenAI's words."""

    BATCH = "batch"
    BATCH_OUTPUT = "batch_output"


class FileState(StrEnum):
    """Whether a file's content is there."""

    PENDING = "pending"  # its upload was promised: it is to be put at a signed URL
    READY = "ready"


@dataclass(frozen=True, slots=True)
class File:
    """A file of an account. `address` is its object's key."""

    id: str
    account_id: str
    purpose: Purpose
    filename: str
    size: int  # bytes; of a pending one, as promised
    address: str
    created_at: int
    expires_at: int | None = None
    state: FileState = FileState.READY
    revision: int = 0

    def over(self, now: int) -> bool:
        """Whether its time is over at `now`; to its account it is gone, removed or not."""
        return self.expires_at is not None and self.expires_at <= now


class Status(StrEnum):
    """How far a batch has come, in OpenAI's words.

    validating ─► in_progress ─► finalizing ─► completed
        └─► failed      └─► cancelling ─► cancelled, and expired where its time was over first
    """

    VALIDATING = "validating"
    FAILED = "failed"
    IN_PROGRESS = "in_progress"
    FINALIZING = "finalizing"
    COMPLETED = "completed"
    EXPIRED = "expired"
    CANCELLING = "cancelling"
    CANCELLED = "cancelled"

    @property
    def final(self) -> bool:
        """Whether nothing more will happen to it."""
        return self in (Status.FAILED, Status.COMPLETED, Status.EXPIRED, Status.CANCELLED)


@dataclass(frozen=True, slots=True)
class InputError:
    """What is wrong with a batch's input: with one line, by its number from 1, or with the whole (None).

    What is long, as it may quote the input, is cut short: a hundred of them lie in one record.
    """

    code: str
    message: str
    line: int | None = None
    param: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "message", _short(self.message, _MESSAGE))
        object.__setattr__(self, "param", self.param and _short(self.param, _PARAM))


@dataclass(frozen=True, slots=True)
class Hold:
    """Who works on a batch at present, and until when; it then counts as dead."""

    holder: str
    until: int


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch: one file of lines, each a request, to be answered each once."""

    id: str
    account_id: str
    key_id: str  # that pays
    endpoint: str  # of all lines, such as /v1/chat/completions; "" where each line says its own
    input_file_id: str
    input_address: str
    window_s: int  # from its making until it expires, in seconds
    created_at: int
    expires_at: int
    output_address: str
    error_address: str
    metadata: dict[str, str] = field(default_factory=dict)
    output_life_s: int | None = None  # from the making of its files until they expire; None: as long as others
    status: Status = Status.VALIDATING
    in_progress_at: int | None = None
    finalizing_at: int | None = None
    cancelling_at: int | None = None
    ended_at: int | None = None  # when `status` became final
    errors: tuple[InputError, ...] = ()
    more_errors: bool = False  # than MOST_ERRORS
    lines: int = 0
    model: str | None = None  # of all lines, once that is known; None where they have several
    completed: int = 0
    failed: int = 0
    usage: Usage = NOTHING
    shards: int = 0
    output_file_id: str | None = None
    error_file_id: str | None = None
    hold: Hold | None = None
    topic_told: bool = False  # whether its end was told to the topic, where the webhook has yet to hear of it
    told: bool = False  # whether its end was told to whoever is to be told
    revision: int = 0

    def __post_init__(self) -> None:
        if len(self.errors) > MOST_ERRORS:
            raise ValueError(f"{len(self.errors)} errors of {self.id}'s input are more than {MOST_ERRORS}")

    @property
    def closed(self) -> bool:
        """Whether nothing at all is left to do for it."""
        return self.status.final and self.told


class ShardState(StrEnum):
    """How far a shard has come."""

    WAITING = "waiting"  # to be sent to a worker
    SENT = "sent"  # a message that it is to be started is on its way
    RUNNING = "running"  # a worker has it
    DONE = "done"


@dataclass(frozen=True, slots=True)
class Shard:
    """A part of a batch, for one worker of one model; its lines are in an object (see `addresses`)."""

    batch_id: str
    number: int  # from 0
    window: int  # of the input, from 0: the lines of one window are in its shards alone
    model: str
    lines: int
    tokens: int  # at most
    state: ShardState = ShardState.WAITING
    since: int = 0  # milliseconds: when it came to this state; of a waiting one, from when on it may be sent
    attempt: int = 0  # times that it was started
    stalled: int = 0  # how many of the last of these brought no line more than there were
    call: str | None = None  # the platform's name of the call that runs it; of one that was SENT, the sending's own
    completed: int = 0
    failed: int = 0
    usage: Usage = NOTHING
    revision: int = 0
