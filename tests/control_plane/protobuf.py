"""Of protobuf's own package, which comes without types, what is used here."""

from google.protobuf.empty_pb2 import Empty  # type: ignore[import-untyped]
from google.protobuf.json_format import MessageToDict  # type: ignore[import-untyped]
from google.protobuf.message import Message  # type: ignore[import-untyped]

__all__ = ["Empty", "Message", "MessageToDict"]
