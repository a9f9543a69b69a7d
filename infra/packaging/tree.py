"""A deployable's files, laid out as Lambda unpacks them: what its wheels hold and it needs, and its own.

Of a wheel only code and data are kept. Its metadata is not: nothing that runs here asks for it. Of botocore's
descriptions of services, those in use.
"""

import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile, ZipFile

from infra.packaging.deployable import Deployable
from infra.packaging.failure import PackagingFailed
from infra.packaging.lock import Pin
from infra.packaging.modules import closure

OURS = "penstock"
"""Whose the files are that come from this checkout."""

_KEPT = re.compile(r"\.(py|so(\.[0-9]+)*|json|json\.gz|pem)$")
_LEFT_OUT = re.compile(
    r"[^/]+\.dist-info/"  # licences, versions and file lists
    r"|[^/]+\.data/(scripts|headers|data)/"
    r"|(.*/)?(tests?|testing)/"
    # What needs packages that are not here, or serves other programs than a server.
    r"|pydantic/(v1/|mypy\.py|_hypothesis_plugin\.py)"
    r"|fastapi/(__main__|cli|templating|testclient)\.py"
    r"|starlette/(templating|testclient|middleware/sessions)\.py"
    r"|aiobotocore/_tee\.py"  # for httpx in place of aiohttp
    r"|aiohttp/(pytest_plugin|worker|test_utils)\.py"
    r"|anyio/(pytest_plugin|_backends/_trio)\.py"
    r"|(boto3|s3transfer)/crt\.py"
    r"|modal_docs/|modal/(__main__|experimental/ipython)\.py|modal_proto/.*_pb2_grpc\.py|synchronicity/type_stubs\.py"
    r"|(certifi|pygments)/__main__\.py|pygments/sphinxext\.py|click/_winconsole\.py"
    r"|rich/_win(32_console|dows_renderer)\.py|google/protobuf/internal/.*_benchmark\.py"
    r"|botocore/(crt/auth\.py|docs/translator\.py|data/.*/examples-1\.json$)"
    # Every file system but S3's; its base needs the local one.
    r"|fsspec/(archive|conftest|fuse|generic|gui|parquet)\.py|fsspec/implementations/(?!(__init__|local)\.py$)"
    r"|dateutil/(rrule|tzwin|tz/win)\.py"
    r"|dotenv/(__main__|cli|ipython)\.py"
    r"|structlog/(_greenlets|twisted)\.py"
    r"|urllib3/(contrib/(emscripten/|pyopenssl\.py|socks\.py)|http2/connection\.py)"
    # The fast halves of WebSockets, which nobody opens here (aiohttp has them in Python as well), and of tests.
    r"|aiohttp/_websocket/.*\.so$|multidict/_testcapi\."
)
_DESCRIPTION = re.compile(r"botocore/data/([^/]+)/")


@dataclass(frozen=True, slots=True)
class Tree:
    """A folder, and whose each of its files is, by the file's path in it."""

    folder: Path
    owners: Mapping[str, str]


def lay_out(root: Path, deployable: Deployable, wheels: Mapping[Pin, Path], folder: Path) -> Tree:
    """Fill `folder`, which is empty, from the wheels and the checkout at `root`. Raises PackagingFailed."""
    owners: dict[str, str] = {}
    for pin, wheel in wheels.items():
        for path in _unpack(wheel, deployable, folder):
            if owners.setdefault(path, pin.name) != pin.name:
                raise PackagingFailed(f"{path} is in {pin.name} and in {owners[path]}")
    for path, source in _own(root, deployable).items():
        if path in owners:
            raise PackagingFailed(f"{path} is ours and in {owners[path]}")
        owners[path] = OURS
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, folder / path)
    return Tree(folder, owners)


def _unpack(wheel: Path, deployable: Deployable, folder: Path) -> Iterator[str]:
    try:
        with ZipFile(wheel) as archive:
            for path in archive.namelist():
                if _wanted(path, deployable):
                    archive.extract(path, folder)
                    yield path
    except (BadZipFile, OSError) as error:
        raise PackagingFailed(f"{wheel.name} cannot be unpacked: {error}") from error


def _wanted(path: str, deployable: Deployable) -> bool:
    if _LEFT_OUT.match(path) or path.startswith(deployable.unused) or not _KEPT.search(path):
        return False
    if ".data/" in path:
        raise PackagingFailed(f"{path}: a wheel that has to be installed and not only unpacked")
    described = _DESCRIPTION.match(path)
    return described is None or described[1] in deployable.services


def _own(root: Path, deployable: Deployable) -> dict[str, Path]:
    files = closure(root, deployable.entries, deployable.without)
    for path in deployable.files:
        if not (root / path).is_file():
            raise PackagingFailed(f"there is no {path} to package")
        files[path] = root / path
    return files
