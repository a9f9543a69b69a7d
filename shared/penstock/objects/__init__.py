"""Object storage: files' contents and the work of batches, in a bucket or in a folder.

`open_objects` picks the store from a URL; only that store's library is imported. Keys are paths of `/`-separated
names. Everything about batches goes through here, so that a laptop's folder and a bucket in the cloud see the same.
"""

from pathlib import Path

from penstock.objects.protocol import Exists, Missing, Object, Objects, ObjectsUnavailable, Writer
from penstock.objects.urls import check_objects_url

__all__ = [
    "Exists",
    "Missing",
    "Object",
    "Objects",
    "ObjectsUnavailable",
    "Writer",
    "check_objects_url",
    "open_objects",
]


async def open_objects(url: str) -> Objects:
    """Open the store that `url` names: `s3://BUCKET` or `file:///FOLDER`, which is made where it is not there.

    Where a bucket is comes from the standard AWS configuration (AWS_REGION, AWS_ENDPOINT_URL, the chain of
    credentials). Raises ValueError for another URL, ObjectsUnavailable where the store cannot be opened.
    """
    scheme, _, place = check_objects_url(url).partition("://")
    if scheme == "file":
        from penstock.objects.folder import Folder  # noqa: PLC0415

        return await Folder.open(Path(place))
    from penstock.objects.bucket import Bucket  # noqa: PLC0415

    return await Bucket.open(place)
