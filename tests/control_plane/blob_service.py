"""The RPCs that say where a blob is put and got."""

from modal_proto import api_pb2 as pb

from tests.control_plane.content import Content
from tests.control_plane.rpc import Refusal


class BlobService:
    """URLs of blobs, at the control plane's own HTTP."""

    def __init__(self, content: Content, url: str) -> None:
        self._content = content
        self._url = url

    async def blob_create(self, request: pb.BlobCreateRequest) -> pb.BlobCreateResponse:
        """Where to put one, in one piece."""
        blob_id = self._content.promise_blob(request.content_length)
        urls = pb.UploadUrlList(items=[f"{self._url}/blobs/{blob_id}"])
        return pb.BlobCreateResponse(blob_id=blob_id, blob_ids=[blob_id], upload_urls=urls)

    async def blob_get(self, request: pb.BlobGetRequest) -> pb.BlobGetResponse:
        """Where to get one."""
        if self._content.blob(request.blob_id) is None:
            raise Refusal.not_found(f"Blob {request.blob_id!r}")
        return pb.BlobGetResponse(download_url=f"{self._url}/blobs/{request.blob_id}")
