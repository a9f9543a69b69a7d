"""`python -m benchmarks.cost`: print the tables of docs/cost.md, to be pasted there."""

from benchmarks.cost.page import tables

if __name__ == "__main__":
    print("\n".join(tables().values()), end="")
