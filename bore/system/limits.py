"""How many file descriptors this process may have, and who may use them."""

from __future__ import annotations

import os
from typing import Final


def raiseDescriptorLimit() -> None:
    """
    Allow as many descriptors as the system lets us have.

    The usual soft limit of 1024 is there for programs that use select(2); each visitor takes two descriptors.
    """
    if os.name == "posix":
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if soft != hard:
            try:
                resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
            except (OSError, ValueError):
                # macOS has further limits; what there is has to do.
                return


#: Descriptors that a server keeps for its clients when visitors have taken the others.
FOR_CLIENTS: Final = 64

#: What a client keeps for its control connection, look-ups and files.
FOR_CONTROL: Final = 8


def descriptorsForVisitors(kept: int) -> int:
    """
    How many descriptors visitors may use up; 0: the system does not say.

    :param kept: how many are kept for other things; of few, an eighth.
    """
    if os.name != "posix":
        return 0
    import resource

    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return 0 if limit == resource.RLIM_INFINITY else limit - min(kept, limit // 8)
