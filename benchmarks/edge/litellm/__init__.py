"""LiteLLM's proxy beside the edge: installed apart, started, with keys that have limits and a budget.

Its own virtual keys live in PostgreSQL, which it reaches through Prisma's engine: a binary that no package registry
carries. So the keys come from its custom authentication, and what they spend is held in memory: it checks a key, its
limits and its budget with every request, as with a database, but writes nothing that outlives it.
"""

RICH = "BENCHMARK_RICH_KEY"
POOR = "BENCHMARK_POOR_KEY"
"""Environment variables: a key whose limits are never reached, and one whose first request takes all it has."""
