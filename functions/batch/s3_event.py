"""What S3 tells of objects that were made.

The form: https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html. Keys are encoded as
in a form. An object that was put may be told of more than once, each time with the same sequencer.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import unquote_plus

from functions.batch.incoming import Drop
from penstock.clock import SECOND


def keys_of(event: Mapping[str, Any]) -> list[str]:
    """The keys of the objects. Raises ValueError for what is no such event."""
    return [drop.key for drop in drops_of(event)]


def drops_of(event: Mapping[str, Any]) -> list[Drop]:
    """The objects. Raises ValueError for what is no such event."""
    try:
        return [_drop(record) for record in event["Records"]]
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"this is no event of S3: {type(error).__name__}: {error}") from None


def _drop(record: Mapping[str, Any]) -> Drop:
    found = record["s3"]["object"]
    # A test event, or a store that stands in for S3, may have no sequencer: then it is the content that tells.
    version = "/".join(str(found.get(name, "")) for name in ("sequencer", "versionId", "eTag"))
    at = int(datetime.fromisoformat(record["eventTime"]).timestamp() * SECOND)
    return Drop(unquote_plus(found["key"]), version, int(found.get("size", 0)), at)
