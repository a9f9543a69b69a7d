"""ministack: AWS on this machine, in memory. The tests use its DynamoDB, and its STS where a role is assumed.

It lives in an environment of its own (see `install`), since it pins another botocore than ours.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.servers.process import serving

PYTHON = Path(__file__).parents[2] / ".venv" / "servers" / "bin" / "python"


@contextmanager
def ministack(folder: Path) -> Iterator[str]:
    """Run it; the context's value is its URL. What it writes to disk, and `ministack.log`, goes to `folder`."""
    assert PYTHON.exists(), "ministack is not installed: run scripts/install"

    def command(listen: int) -> list[str]:
        return [str(PYTHON), "-m", "hypercorn", "ministack.app:app", "--bind", f"fd://{listen}"]

    environment = {
        "SERVICES": "dynamodb,sts",
        "IOT_MTLS_ENABLED": "0",  # would listen on a port of its own
        "LOG_LEVEL": "WARNING",
        "HOME": str(folder),
        "TMPDIR": str(folder),
    }
    with serving(command, folder / "ministack.log", health="/health", environment=environment) as url:
        yield url
