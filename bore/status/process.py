"""What this process uses, in a snapshot."""

from __future__ import annotations

from bore.status.report import ProcessReport
from bore.system.usage import usage


def processReport() -> ProcessReport | None:
    """Read what this process uses; None: the system does not show it."""
    found = usage()
    return None if found is None else ProcessReport(found.cpu, found.resident, found.descriptors)
