"""The wheelhouse: a folder of wheels for every target that was once packaged for, each verified by its hash.

What is there needs no network. What is missing, pip downloads, as its own configuration says where from.
Any number of processes may use one wheelhouse at once: a wheel appears in it whole.
"""

import hashlib
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from packaging.tags import Tag
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename

from infra.packaging.failure import PackagingFailed
from infra.packaging.lock import Pin
from infra.packaging.target import Target

_TIMEOUT = 600  # seconds for pip


def gather(folder: Path, pins: Iterable[Pin], target: Target) -> dict[Pin, Path]:
    """The wheel of each pin that fits the target; those that are missing are downloaded. Raises PackagingFailed."""
    folder.mkdir(parents=True, exist_ok=True)
    pins = tuple(pins)
    wheels = _found(folder, pins, target)
    missing = [pin for pin in pins if pin not in wheels]
    if missing:
        _download(folder, missing, target)
        wheels |= _found(folder, missing, target)
    for pin in pins:
        if pin not in wheels:
            raise PackagingFailed(f"{pin} came without a wheel for {target}")
        _verify(wheels[pin], pin)
    return wheels


def _found(folder: Path, pins: Iterable[Pin], target: Target) -> dict[Pin, Path]:
    ranks = {tag: rank for rank, tag in enumerate(target.tags)}
    wanted = {(pin.name, pin.version): pin for pin in pins}
    best: dict[Pin, tuple[int, Path]] = {}
    for path in sorted(folder.glob("*.whl")):
        try:
            name, version, _, tags = parse_wheel_filename(path.name)
        except InvalidWheelFilename:
            continue
        pin, rank = wanted.get((canonicalize_name(name), version)), _rank(tags, ranks)
        if pin is not None and rank is not None and (pin not in best or rank < best[pin][0]):
            best[pin] = (rank, path)
    return {pin: path for pin, (_, path) in best.items()}


def _rank(tags: Iterable[Tag], ranks: Mapping[Tag, int]) -> int | None:
    return min((ranks[tag] for tag in tags if tag in ranks), default=None)


def _verify(wheel: Path, pin: Pin) -> None:
    with wheel.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found not in pin.hashes:
        raise PackagingFailed(f"{wheel} is not what the lock names: its SHA-256 is {found}; delete it")


def _download(folder: Path, pins: Iterable[Pin], target: Target) -> None:
    """Markers are not pip's to judge: it would judge them for the Python that runs it."""
    with tempfile.TemporaryDirectory(dir=folder, prefix=".download-") as scratch:
        requirements = Path(scratch) / "requirements.txt"
        requirements.write_text("".join(f"{pin.requirement}\n" for pin in pins), encoding="utf-8")
        command = [
            *(sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--quiet"),
            *("--no-deps", "--require-hashes", "--only-binary=:all:", "--implementation", "cp"),
            *("--python-version", target.python, *(f"--platform={one}" for one in target.platforms)),
            *("--dest", scratch, "--requirement", str(requirements)),
        ]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT, check=False)  # noqa: S603
        except subprocess.TimeoutExpired:
            raise PackagingFailed(f"pip had not downloaded the wheels for {target} after {_TIMEOUT} s") from None
        if done.returncode != 0:
            raise PackagingFailed(f"the wheels for {target} cannot be downloaded: {_reason(done.stderr)}")
        for wheel in Path(scratch).glob("*.whl"):
            wheel.replace(folder / wheel.name)


def _reason(said: str) -> str:
    """Of what pip says, the line that says most."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR")]
    return (errors or lines or ["pip did not say why"])[-1][:500]
