"""dynalite: DynamoDB's single-item operations in memory, with its strict rules for expressions.

It refuses what DynamoDB refuses and ministack lets pass, such as arithmetic in a condition or overlapping
paths. It has no transactions, and gives no item with a failed condition. It needs Node.js.
"""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.servers.process import serving

FOLDER = Path(__file__).with_name("node")
NODE_JS = 20  # dynalite's oldest


def node_js() -> str | None:
    """The path of a Node.js which is new enough, where there is one."""
    node = shutil.which("node")
    if node is None:
        return None
    version = subprocess.run([node, "--version"], capture_output=True, text=True, timeout=60, check=True).stdout
    return node if int(version.removeprefix("v").partition(".")[0]) >= NODE_JS else None


@contextmanager
def dynalite(node: str, folder: Path) -> Iterator[str]:
    """Run it; the context's value is its URL. Its tables are ready at once. `dynalite.log` goes to `folder`."""
    module = FOLDER / "node_modules" / "dynalite"
    assert module.exists(), "dynalite is not installed: run tests/install"

    def command(listen: int) -> list[str]:
        at_once = "{createTableMs: 0, updateTableMs: 0, deleteTableMs: 0}"
        # Not its own command line, which wants the number of a port.
        return [node, "-e", f"require({str(module)!r})({at_once}).listen({{fd: {listen}}})"]

    with serving(command, folder / "dynalite.log", health="/", environment={}) as url:
        yield url
