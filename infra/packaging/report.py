"""What a zip holds, as a table for people: each package's bytes, as they are and as they are in the zip."""

from collections import Counter
from collections.abc import Mapping

from infra.packaging.archive import Archive
from infra.packaging.target import Target


def report(archive: Archive, owners: Mapping[str, str], target: Target) -> str:
    """The largest package first; the total of `zipped` is the zip's own size, its directory included."""
    sizes, zipped = Counter[str](), Counter[str]()
    for member in archive.members:
        sizes[owners[member.path]] += member.size
        zipped[owners[member.path]] += member.zipped
    rows = [(name, sizes[name], zipped[name]) for name in sorted(sizes, key=lambda name: (-zipped[name], name))]
    rows.append(("total", sizes.total(), archive.size))
    return "\n".join(
        [
            f"{archive.path} ({target})",
            f"  {'package':<24}{'bytes':>12}{'zipped':>12}",
            *(f"  {name:<24}{size:>12,}{packed:>12,}" for name, size, packed in rows),
            f"  SHA-256 {archive.sha256}",
        ]
    )
