"""Images and mounts, as they are recorded: nothing is built.

Of an image's commands a container here gets ENV, and the files of its context, where COPY puts them.
"""

import shlex
from collections.abc import Iterator

from modal_proto import api_pb2 as pb

from tests.control_plane.content import Content
from tests.control_plane.ids import Ids
from tests.control_plane.inside.plan import File
from tests.control_plane.rpc import Refusal

BUILDER = "2025.06"
SUCCESS = pb.GenericResult(status=pb.GenericResult.GENERIC_STATUS_SUCCESS)


class Images:
    """Images and mounts by id, and the RPCs about them."""

    def __init__(self, content: Content, ids: Ids) -> None:
        self._content = content
        self._ids = ids
        self._images: dict[str, pb.Image] = {}
        self._image_ids: dict[bytes, str] = {}
        self._mounts: dict[str, list[pb.MountFile]] = {}

    def chain(self, image_id: str) -> list[pb.Image]:
        """The image and those below it, the lowest first."""
        images: list[pb.Image] = []
        while image_id:
            image = self._images[image_id]
            images.insert(0, image)
            image_id = image.base_images[0].image_id if image.base_images else ""
        return images

    def environment(self, image_id: str) -> dict[str, str]:
        """What the ENV commands set."""
        lines = [line for image in self.chain(image_id) for line in image.dockerfile_commands]
        words = [word for line in lines if line.startswith("ENV ") for word in shlex.split(line.removeprefix("ENV "))]
        return dict(word.split("=", 1) for word in words if "=" in word)

    def files(self, image_id: str, mount_ids: list[str]) -> list[File]:
        """What a container of that image and those mounts sees besides this machine's files."""
        copied = [file for image in self.chain(image_id) for file in self._copied(image)]
        return [*copied, *(file for mount_id in mount_ids for file in self._mounted(mount_id))]

    def mount_files(self, mount_id: str) -> list[str]:
        """The paths that a mount has."""
        return [file.filename for file in self._mounts.get(mount_id, [])]

    def _mounted(self, mount_id: str) -> Iterator[File]:
        for file in self._mounts.get(mount_id, []):
            source = str(self._content.path(file.sha256_hex))
            yield File(file.filename, source, (file.mode if file.HasField("mode") else 0o644) | 0o400)

    def _copied(self, image: pb.Image) -> Iterator[File]:
        """What `COPY . TARGET` copies: the form in which the client has `add_local_dir(copy=True)` and the like."""
        copies = [line.split() for line in image.dockerfile_commands if line.startswith("COPY . ")]
        for _, _, target in copies:
            for file in self._mounted(image.context_mount_id):
                yield File(f"{target.rstrip('/')}/{file.path.lstrip('/')}", file.source, file.mode)

    async def image_get_or_create(self, request: pb.ImageGetOrCreateRequest) -> pb.ImageGetOrCreateResponse:
        """The same image has the same id."""
        key = request.image.SerializeToString(deterministic=True)
        if key not in self._image_ids:
            self._image_ids[key] = self._ids.new("im")
            self._images[self._image_ids[key]] = request.image
        metadata = pb.ImageMetadata(image_builder_version=request.builder_version or BUILDER)
        return pb.ImageGetOrCreateResponse(image_id=self._image_ids[key], metadata=metadata, result=SUCCESS)

    async def mount_get_or_create(self, request: pb.MountGetOrCreateRequest) -> pb.MountGetOrCreateResponse:
        """Modal's own published mounts (its client's sources) are there and empty: the environment has them."""
        published = request.object_creation_type == pb.OBJECT_CREATION_TYPE_UNSPECIFIED
        mount_id = f"mo-{request.deployment_name}" if published else self._ids.new("mo")
        missing = [file.filename for file in request.files if not self._content.has(file.sha256_hex)]
        if missing:
            raise Refusal.not_found(f"the content of {missing[0]}")
        self._mounts.setdefault(mount_id, list(request.files))
        return pb.MountGetOrCreateResponse(mount_id=mount_id, handle_metadata=pb.MountHandleMetadata())

    async def mount_batched_check_existence(
        self, request: pb.MountBatchedCheckExistenceRequest
    ) -> pb.MountBatchedCheckExistenceResponse:
        """Which contents are still to be sent."""
        missing = [sha256 for sha256 in request.sha256_hex_hashes if not self._content.has(sha256)]
        return pb.MountBatchedCheckExistenceResponse(missing_sha256_hex_hashes=missing)

    async def mount_put_file(self, request: pb.MountPutFileRequest) -> pb.MountPutFileResponse:
        """Content in the message or in a blob; without any the question is whether it is there."""
        way = request.WhichOneof("data_oneof")
        data = self._content.blob(request.data_blob_id) if way == "data_blob_id" else request.data
        if way and data is not None and self._content.put(data) != request.sha256_hex:
            raise Refusal.invalid(f"what came is not of the hash {request.sha256_hex}")
        return pb.MountPutFileResponse(exists=self._content.has(request.sha256_hex))
