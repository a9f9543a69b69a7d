"""Bytes on disk: files of mounts and blocks of Volumes by their hash, and blobs by their id.

Blobs carry what is too large for a message (`BlobCreate` and `BlobGet`): arguments, results, items of
generators and files. They are put and got over HTTP in one piece; Modal's service asks for several pieces from
1 GiB on, which is more than is taken here.
"""

import hashlib
from pathlib import Path

from tests.control_plane.ids import Ids
from tests.control_plane.rpc import Refusal

MAX_BLOB = 512 * 2**20  # bytes


class Content:
    """What is stored below `folder`."""

    def __init__(self, folder: Path, ids: Ids) -> None:
        self._hashed = folder / "hashed"
        self._blobs = folder / "blobs"
        self._ids = ids
        self._promised: set[str] = set()
        for path in (self._hashed, self._blobs):
            path.mkdir(parents=True)

    def has(self, sha256: str) -> bool:
        """Whether something of that hash (hex) is stored."""
        return self.path(sha256).exists()

    def path(self, sha256: str) -> Path:
        """Where what has that hash (hex) is stored."""
        if len(sha256) != 64 or not sha256.isalnum():
            raise Refusal.invalid(f"{sha256!r} is no SHA-256")
        return self._hashed / sha256

    def put(self, data: bytes) -> str:
        """Store it; gives its hash."""
        sha256 = hashlib.sha256(data).hexdigest()
        _write(self.path(sha256), data)
        return sha256

    def promise_blob(self, size: int) -> str:
        """The id under which a blob of that size (bytes) will come. Raises Refusal where it is too large."""
        if size > MAX_BLOB:
            raise Refusal.invalid(f"a blob of {size} bytes is larger than {MAX_BLOB}")
        blob_id = self._ids.new("bl")
        self._promised.add(blob_id)
        return blob_id

    def put_blob(self, blob_id: str, data: bytes) -> str | None:
        """Store a blob that was promised; gives its MD5 (hex), as the client expects it, or None for another."""
        if blob_id not in self._promised:
            return None
        _write(self._blobs / blob_id, data)
        return hashlib.md5(data, usedforsecurity=False).hexdigest()

    def blob(self, blob_id: str) -> bytes | None:
        """The blob's bytes, if it came."""
        path = self._blobs / blob_id
        return path.read_bytes() if blob_id in self._promised and path.exists() else None


def _write(path: Path, data: bytes) -> None:
    """Write it so that whoever finds the file finds it whole."""
    part = path.with_suffix(".part")
    part.write_bytes(data)
    part.replace(path)
