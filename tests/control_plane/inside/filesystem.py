"""A container's files: this machine's as they are, below what is the container's own.

Each folder of `/` is an overlay whose changes stay in memory; /root, /run and /tmp are empty but for what was added
to the image. So nothing is seen there, or left behind, that Modal's container would not have. It is built in a mount
namespace of its own (`unshare --mount`), which ends with the container.
"""

import ctypes
import os
import shutil
from contextlib import suppress
from pathlib import Path

from tests.control_plane.inside.plan import RUNTIME, Plan

HIDDEN = ("root", "run", "tmp")  # the container's own
PASSED_ON = ("dev", "sys")

# mount(2)
MS_RDONLY, MS_REMOUNT, MS_BIND, MS_REC = 1, 32, 4096, 16384

_libc = ctypes.CDLL(None, use_errno=True)


def build(plan: Plan) -> Path:
    """Mount it; gives the folder that is to be the container's root. Raises OSError, naming what failed."""
    layer = Path(plan.folder, "layer")
    layer.mkdir()
    _mount("tmpfs", layer, "tmpfs")
    root = layer / "root"
    root.mkdir()
    for entry in Path("/").iterdir():
        target = root / entry.name
        if entry.is_symlink():
            target.symlink_to(entry.readlink())
        elif entry.is_dir():
            target.mkdir()
            _show(entry, target, layer)
    (root / "tmp").chmod(0o1777)
    for file in plan.files:
        _add(Path(file.source), _at(root, file.path), file.mode)
    _keep(plan, root)
    _bind(Path(plan.folder, "runtime"), _folder(root, RUNTIME))
    for volume in plan.volumes:
        _bind(Path(volume.source), _folder(root, volume.path), read_only=volume.read_only)
    return root


def _show(entry: Path, target: Path, layer: Path) -> None:
    if entry.name in HIDDEN:
        return
    if entry.name == "proc":
        _mount("proc", target, "proc")
    elif entry.name in PASSED_ON:
        _bind(entry, target, recursive=True)
    else:
        _overlay(entry, target, layer)


def _overlay(entry: Path, target: Path, layer: Path) -> None:
    upper, work = layer / "upper" / entry.name, layer / "work" / entry.name
    for path in (upper, work):
        path.mkdir(parents=True)
    with suppress(OSError):
        shutil.copystat(entry, upper)
    whole = Path("/proc/self/uid_map").read_text().split() == ["0", "0", "4294967295"]
    data = f"lowerdir={entry},upperdir={upper},workdir={work}" + ("" if whole else ",userxattr")
    try:
        _mount("overlay", target, "overlay", data=data)
    except OSError:
        # In a user namespace the kernel refuses to lay anything over a folder below which there are other mounts.
        _bind(entry, target, recursive=True)


def _add(source: Path, target: Path, mode: int) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    target.chmod(mode)


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
