"""A container's files: this machine's as they are, below what is the container's own.

An overlay of `/` whose changes stay in memory, and in which /root and /tmp are empty but for what was added to
the image, so that nothing is seen there, or left behind, that Modal's container would not have. It is built in a
mount namespace of its own (`unshare --mount`), which ends with the container.
"""

import ctypes
import os
import shutil
from pathlib import Path

from tests.control_plane.inside.plan import RUNTIME, Plan

HIDDEN = ("/root", "/tmp")  # noqa: S108 -- the container's own
PASSED_ON = ("/dev", "/sys")

# mount(2)
MS_RDONLY, MS_REMOUNT, MS_BIND, MS_REC = 1, 32, 4096, 16384

_libc = ctypes.CDLL(None, use_errno=True)


def build(plan: Plan) -> Path:
    """Mount it; gives the folder that is to be the container's root. Raises OSError, naming what failed."""
    layer = Path(plan.folder, "layer")
    layer.mkdir()
    _mount("tmpfs", layer, "tmpfs")
    own, upper, root = layer / "own", layer / "upper", layer / "merged"
    for path in (own, upper, root, layer / "work"):
        path.mkdir()
    for hidden in HIDDEN:
        _at(own, hidden).mkdir()
        _at(upper, hidden).mkdir()
    _add_files(plan, own, upper)
    _mount("overlay", root, "overlay", data=f"lowerdir=/,upperdir={upper},workdir={layer / 'work'}")
    for hidden in HIDDEN:
        _bind(_at(own, hidden), _at(root, hidden))
    for passed_on in PASSED_ON:
        _bind(Path(passed_on), _at(root, passed_on), recursive=True)
    _mount("proc", _at(root, "/proc"), "proc")
    _keep(plan, root)
    _bind(Path(plan.folder, "runtime"), _folder(root, RUNTIME))
    for volume in plan.volumes:
        _bind(Path(volume.source), _folder(root, volume.path), read_only=volume.read_only)
    return root


def _add_files(plan: Plan, own: Path, upper: Path) -> None:
    for file in plan.files:
        hidden = any(Path(file.path).is_relative_to(path) for path in HIDDEN)
        target = _at(own if hidden else upper, file.path)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file.source, target)
        target.chmod(file.mode)


def _keep(plan: Plan, root: Path) -> None:
    for path in plan.kept:
        if not (_at(root, path) / "bin").exists():
            _bind(Path(path), _folder(root, path), recursive=True)
    for path in plan.masked:
        _bind(Path(os.devnull), _at(root, path))


def _at(root: Path, path: str) -> Path:
    return root / path.lstrip("/")


def _folder(root: Path, path: str) -> Path:
    folder = _at(root, path)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _bind(source: Path, target: Path, *, recursive: bool = False, read_only: bool = False) -> None:
    _mount(str(source), target, "", flags=MS_BIND | (MS_REC if recursive else 0))
    if read_only:
        _mount(str(source), target, "", flags=MS_BIND | MS_REMOUNT | MS_RDONLY)


def _mount(source: str, target: Path, kind: str, *, flags: int = 0, data: str = "") -> None:
    arguments = (source.encode(), bytes(target), kind.encode(), flags, data.encode())
    if _libc.mount(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"cannot mount {kind or source} on {target}: {os.strerror(number)}")
