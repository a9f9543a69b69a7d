"""What API Gateway invokes a Lambda function with: the events of an HTTP API, payload version 2.0.

Format: docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
"""

from typing import Any

import orjson

CHAT = orjson.dumps(
    {
        "model": "stub",
        "messages": [
            {"role": "system", "content": "You are a helpful assistant. Answer in short sentences."},
            {"role": "user", "content": "What is a penstock, and where would I find one?"},
            {"role": "assistant", "content": "A gated pipe that leads water to a turbine. In a hydropower station."},
            {"role": "user", "content": "And what keeps the water from rushing through all at once?"},
        ],
        "max_completion_tokens": 256,
        "temperature": 0.7,
    }
)


def chat(api_key: str) -> dict[str, Any]:
    """A chat completion that does not stream."""
    return _event("POST", "/v1/chat/completions", api_key) | {
        "body": CHAT.decode(),  # an HTTP API passes JSON on as it is
        "isBase64Encoded": False,
    }


def models(api_key: str) -> dict[str, Any]:
    """The list of models."""
    return _event("GET", "/v1/models", api_key) | {"isBase64Encoded": False}


def _event(method: str, path: str, api_key: str) -> dict[str, Any]:
    return {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": "",
        "headers": {
            "accept": "application/json",
            "accept-encoding": "gzip, deflate",
            "authorization": f"Bearer {api_key}",
            "content-length": str(len(CHAT) if method == "POST" else 0),
            "content-type": "application/json",
            "host": "abcdefghij.execute-api.eu-central-1.amazonaws.com",
            "user-agent": "OpenAI/Python 3.54.0",
            "x-amzn-trace-id": "Root=1-5e6722a7-cc56xmpl46db7ae02d4da47e",
            "x-forwarded-for": "203.0.113.7",
            "x-forwarded-port": "443",
            "x-forwarded-proto": "https",
            "x-stainless-lang": "python",
        },
        "requestContext": {
            "accountId": "123456789012",
            "apiId": "abcdefghij",
            "domainName": "abcdefghij.execute-api.eu-central-1.amazonaws.com",
            "domainPrefix": "abcdefghij",
            "http": {
                "method": method,
                "path": path,
                "protocol": "HTTP/1.1",
                "sourceIp": "203.0.113.7",
                "userAgent": "OpenAI/Python 3.54.0",
            },
            "requestId": "JKJaXmPLvHcESHA=",
            "routeKey": "$default",
            "stage": "$default",
            "time": "22/Nov/2026:12:00:00 +0000",
            "timeEpoch": 1795348800000,
        },
    }
