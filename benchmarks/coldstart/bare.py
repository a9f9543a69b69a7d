"""The peer: FastAPI, Mangum and an aiobotocore client of DynamoDB with nothing of ours. It reads one item."""

import os

from aiobotocore.session import get_session
from fastapi import FastAPI
from mangum import Mangum

app = FastAPI()


@app.get("/v1/models")
async def item() -> bool:
    """Whether the table has an item of that key. One GetItem."""
    async with get_session().create_client("dynamodb") as client:
        answer = await client.get_item(TableName=os.environ["TABLE"], Key={"pk": {"S": "none"}, "sk": {"S": "none"}})
        return "Item" in answer


handler = Mangum(app, lifespan="off")
