"""Secrets: variables by the id, and the id by the name."""

import time

from modal_proto import api_pb2 as pb

from tests.control_plane.ids import Ids
from tests.control_plane.protobuf import Empty
from tests.control_plane.rpc import Refusal


class Secrets:
    """The secrets and the RPCs about them. Containers started later see what was changed."""

    def __init__(self, ids: Ids) -> None:
        self._ids = ids
        self._values: dict[str, dict[str, str]] = {}
        self._named: dict[str, str] = {}

    def set(self, name: str, values: dict[str, str]) -> str:
        """Create or replace the secret of the name; gives its id."""
        secret_id = self._named.setdefault(name, self._ids.new("st"))
        self._values[secret_id] = dict(values)
        return secret_id

    def values(self, secret_id: str) -> dict[str, str]:
        """Its variables."""
        return self._values[secret_id]

    def name(self, secret_id: str) -> str | None:
        """None for one without a name (`Secret.from_dict`)."""
        return next((name for name, named in self._named.items() if named == secret_id), None)

    async def secret_get_or_create(self, request: pb.SecretGetOrCreateRequest) -> pb.SecretGetOrCreateResponse:
        """By name or, for `Secret.from_dict`, without one."""
        name, how = request.deployment_name, request.object_creation_type
        secret_id = self._named.get(name)
        if secret_id and how == pb.OBJECT_CREATION_TYPE_CREATE_FAIL_IF_EXISTS:
            raise Refusal.already_exists(f"Secret {name!r}")
        if how == pb.OBJECT_CREATION_TYPE_UNSPECIFIED and not secret_id:
            raise Refusal.not_found(f"Secret {name!r}")
        if not name:
            secret_id = self._ids.new("st")
            self._values[secret_id] = dict(request.env_dict)
        elif not secret_id or how == pb.OBJECT_CREATION_TYPE_CREATE_OVERWRITE_IF_EXISTS:
            secret_id = self.set(name, dict(request.env_dict))
        missing = set(request.required_keys) - self._values[secret_id].keys()
        if missing:
            raise Refusal.not_found(f"the key {min(missing)!r} of Secret {name!r}")
        return pb.SecretGetOrCreateResponse(secret_id=secret_id, metadata=self._metadata(secret_id))

    async def secret_get_info(self, request: pb.SecretGetInfoRequest) -> pb.SecretGetInfoResponse:
        """Which keys it has."""
        self._check(request.secret_id)
        return pb.SecretGetInfoResponse(metadata=self._metadata(request.secret_id))

    async def secret_list(self, _: pb.SecretListRequest) -> pb.SecretListResponse:
        """Those with a name."""
        items = [
            pb.SecretListItem(label=name, secret_id=secret_id, metadata=self._metadata(secret_id))
            for name, secret_id in self._named.items()
        ]
        return pb.SecretListResponse(items=items, environment_name="main")

    async def secret_delete(self, request: pb.SecretDeleteRequest) -> Empty:
        """The name is free again; containers that run keep what they have."""
        self._check(request.secret_id)
        self._named = {name: named for name, named in self._named.items() if named != request.secret_id}
        return Empty()

    def _check(self, secret_id: str) -> None:
        if secret_id not in self._values:
            raise Refusal.not_found(f"Secret {secret_id!r}")

    def _metadata(self, secret_id: str) -> pb.SecretMetadata:
        created = pb.CreationInfo(created_at=time.time(), created_by="tests")
        keys = sorted(self._values[secret_id])
        return pb.SecretMetadata(name=self.name(secret_id) or "", keys=keys, creation_info=created)
