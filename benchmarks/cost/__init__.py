"""What a million requests cost, computed from published prices: the tables of docs/cost.md. Nothing is measured."""
