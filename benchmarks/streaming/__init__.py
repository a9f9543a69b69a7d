"""The streaming Lambda runtime, measured beside uvicorn, which runs the same app in front of the same upstream."""
