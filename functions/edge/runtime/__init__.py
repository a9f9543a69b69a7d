"""The parts of the Lambda runtime that streams: see `functions.edge.streaming`."""
