"""Who calls the admin routes: an account `admin` with an admin key, beside a deployment's owner."""

from dataclasses import dataclass
from typing import Any

import httpx2
import pytest

from penstock.ledger import ADMIN
from tests.integration.edge.deployment import Deployment, Owner, enrol


@dataclass(frozen=True)
class Administrator:
    """A deployment with a key that may administer it."""

    deployment: Deployment
    owner: Owner

    async def call(self, method: str, path: str, **options: Any) -> httpx2.Response:
        """The admin route's answer."""
        headers = {**self.owner.bearer, **options.pop("headers", {})}
        return await self.deployment.client.request(method, f"/admin/v1{path}", headers=headers, **options)

    async def done(self, method: str, path: str, **options: Any) -> Any:
        """The JSON of an answer to what was done."""
        response = await self.call(method, path, **options)
        assert response.status_code == 200, response.text
        return response.json()

    async def refused(self, status: int, method: str, path: str, **options: Any) -> Any:
        """The error of an answer that refuses: what the envelope holds."""
        response = await self.call(method, path, **options)
        assert response.status_code == status, response.text
        error = response.json()["error"]
        assert error.keys() == {"message", "type", "param", "code"}
        return error

    async def status_of(self, key: str) -> int:
        """What a chat with this key is answered."""
        response = await self.deployment.chat({"Authorization": f"Bearer {key}"})
        return response.status_code


async def appointed(deployment: Deployment) -> Administrator:
    """The deployment with a new administrator."""
    return Administrator(deployment, await enrol(deployment.ledger, routes=frozenset({ADMIN})))


@pytest.fixture
async def admin(deployment: Deployment) -> Administrator:
    """The deployment's administrator."""
    return await appointed(deployment)
