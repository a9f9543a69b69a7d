"""Volumes of version 2: a folder each, which containers see at their mount paths.

A container's writes are seen by the others at once: committing and reloading are answered and do nothing.
"""

import shutil
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import urlencode

from modal_proto import api_pb2 as pb

from tests.control_plane.content import Content
from tests.control_plane.ids import Ids
from tests.control_plane.protobuf import Empty
from tests.control_plane.rpc import Refusal

BLOCK = 8 * 2**20  # bytes; modal._utils.blob_utils.BLOCK_SIZE
MAX_ENTRIES = 10_000
V2 = pb.VOLUME_FS_VERSION_V2


class Volumes:
    """The Volumes and the RPCs about them. `url` is where blocks are put and files are got."""

    def __init__(self, folder: Path, content: Content, ids: Ids, url: str) -> None:
        self._folder = folder
        self._content = content
        self._ids = ids
        self._url = url
        self._named: dict[str, str] = {}

    def folder(self, volume_id: str) -> Path:
        """Where its files are. Raises Refusal where there is no such Volume."""
        folder = self._folder / volume_id
        if not volume_id or not folder.is_dir():
            raise Refusal.not_found(f"Volume {volume_id!r}")
        return folder

    def folders(self) -> dict[str, Path]:
        """Where the files of each are, by the Volume's name."""
        return {name: self.folder(volume_id) for name, volume_id in self._named.items()}

    def name(self, volume_id: str) -> str | None:
        """Its name."""
        return next((name for name, named in self._named.items() if named == volume_id), None)

    def path(self, volume_id: str, path: str) -> Path:
        """Where a path of the Volume is. Raises Refusal for one that leads out of it."""
        folder = self.folder(volume_id).resolve()
        found = (folder / path.lstrip("/")).resolve()
        if not found.is_relative_to(folder):
            raise Refusal.invalid(f"{path!r} leads out of the Volume")
        return found

    async def volume_get_or_create(self, request: pb.VolumeGetOrCreateRequest) -> pb.VolumeGetOrCreateResponse:
        """By name; without one it is ephemeral. A Volume that the request leaves open is of version 2 here."""
        name, how = request.deployment_name, request.object_creation_type
        if request.version == pb.VOLUME_FS_VERSION_V1:
            raise Refusal.invalid("the control plane of the tests has Volumes of version 2 alone")
        volume_id = self._named.get(name)
        if volume_id and how == pb.OBJECT_CREATION_TYPE_CREATE_FAIL_IF_EXISTS:
            raise Refusal.already_exists(f"Volume {name!r}")
        if not volume_id and how == pb.OBJECT_CREATION_TYPE_UNSPECIFIED:
            raise Refusal.not_found(f"Volume {name!r}")
        if not volume_id:
            volume_id = self._ids.new("vo")
            (self._folder / volume_id).mkdir(parents=True)
            if name:
                self._named[name] = volume_id
        return pb.VolumeGetOrCreateResponse(volume_id=volume_id, version=V2, metadata=self.metadata(volume_id))

    async def volume_get_by_id(self, request: pb.VolumeGetByIdRequest) -> pb.VolumeGetByIdResponse:
        """What it is."""
        self.folder(request.volume_id)
        return pb.VolumeGetByIdResponse(volume_id=request.volume_id, metadata=self.metadata(request.volume_id))

    async def volume_list(self, _: pb.VolumeListRequest) -> pb.VolumeListResponse:
        """Those with a name."""
        items = [
            pb.VolumeListItem(label=name, volume_id=volume_id, metadata=self.metadata(volume_id))
            for name, volume_id in self._named.items()
        ]
        return pb.VolumeListResponse(items=items, environment_name="main")

    async def volume_delete(self, request: pb.VolumeDeleteRequest) -> Empty:
        """With its files."""
        shutil.rmtree(self.folder(request.volume_id))
        self._named = {name: named for name, named in self._named.items() if named != request.volume_id}
        return Empty()

    async def volume_heartbeat(self, _: pb.VolumeHeartbeatRequest) -> Empty:
        """An ephemeral Volume lives as long as the control plane."""
        return Empty()

    async def volume_commit(self, request: pb.VolumeCommitRequest) -> pb.VolumeCommitResponse:
        """It is."""
        self.folder(request.volume_id)
        return pb.VolumeCommitResponse(skip_reload=True)

    async def volume_reload(self, request: pb.VolumeReloadRequest) -> Empty:
        """It is."""
        self.folder(request.volume_id)
        return Empty()

    async def volume_put_files2(self, request: pb.VolumePutFiles2Request) -> pb.VolumePutFiles2Response:
        """Write the files whose blocks are all there, or say which blocks to put first."""
        for file in request.files:
            if request.disallow_overwrite_existing_files and self.path(request.volume_id, file.path).exists():
                raise Refusal.already_exists(f"{file.path!r}")
        missing = list(self._missing(request))
        if not missing:
            for file in request.files:
                self._write(self.path(request.volume_id, file.path), file)
        return pb.VolumePutFiles2Response(missing_blocks=missing)

    async def volume_list_files2(
        self, request: pb.VolumeListFiles2Request
    ) -> AsyncIterator[pb.VolumeListFiles2Response]:
        """The entries of a folder, with their paths from the Volume's root; for a file, itself."""
        path = self.path(request.volume_id, request.path)
        if not path.exists():
            raise Refusal.not_found(f"{request.path!r}")
        found = [path] if path.is_file() else sorted(path.rglob("*") if request.recursive else path.iterdir())
        root = self.folder(request.volume_id).resolve()
        yield pb.VolumeListFiles2Response(entries=[_entry(each, root) for each in found[:MAX_ENTRIES]])

    async def volume_get_file2(self, request: pb.VolumeGetFile2Request) -> pb.VolumeGetFile2Response:
        """Where the file's blocks are to be got."""
        path = self.path(request.volume_id, request.path)
        if not path.is_file():
            raise Refusal.not_found(f"the file {request.path!r}")
        size = path.stat().st_size
        end = min(size, request.start + request.len) if request.len else size
        urls, at = [], request.start
        while at < end:
            until = min(end, (at // BLOCK + 1) * BLOCK)
            query = urlencode({"path": request.path, "start": at, "end": until})
            urls.append(f"{self._url}/volumes/{request.volume_id}?{query}")
            at = until
        return pb.VolumeGetFile2Response(get_urls=urls, size=size, start=request.start, len=max(0, end - request.start))

    async def volume_remove_file2(self, request: pb.VolumeRemoveFile2Request) -> Empty:
        """A file or, where the request says so, a folder with all in it."""
        path = self.path(request.volume_id, request.path)
        if not path.exists():
            raise Refusal.not_found(f"{request.path!r}")
        if path.is_dir() and not request.recursive:
            raise Refusal.invalid(f"{request.path!r} is a directory")
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
        return Empty()

    def metadata(self, volume_id: str) -> pb.VolumeMetadata:
        """As the client keeps it."""
        created = pb.CreationInfo(created_at=time.time(), created_by="tests")
        return pb.VolumeMetadata(version=V2, name=self.name(volume_id) or "", creation_info=created)

    def _missing(self, request: pb.VolumePutFiles2Request) -> Iterator[pb.VolumePutFiles2Response.MissingBlock]:
        for file_index, file in enumerate(request.files):
            for block_index, block in enumerate(file.blocks):
                sha256 = block.contents_sha256.hex()
                if not self._content.has(sha256):
                    yield pb.VolumePutFiles2Response.MissingBlock(
                        file_index=file_index, block_index=block_index, put_url=f"{self._url}/blocks/{sha256}"
                    )

    def _write(self, path: Path, file: pb.VolumePutFiles2Request.File) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{path.name}.part")
        with part.open("wb") as out:
            for index, block in enumerate(file.blocks):
                out.seek(index * BLOCK)
                out.write(self._content.path(block.contents_sha256.hex()).read_bytes())
            out.truncate(file.size)  # a block's trailing zeros were not sent
        if file.HasField("mode"):
            part.chmod(file.mode)
        part.replace(path)


def _entry(path: Path, root: Path) -> pb.FileEntry:
    status = path.stat()
    kind = pb.FileEntry.DIRECTORY if path.is_dir() else pb.FileEntry.FILE
    name = path.relative_to(root).as_posix()
    return pb.FileEntry(path=name, type=kind, mtime=int(status.st_mtime), size=status.st_size)
