"""What runs on AWS Lambda without a caller: on a schedule, or from a queue."""
