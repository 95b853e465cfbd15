"""``python -m bore``."""

from __future__ import annotations

import sys

from bore.cli import main

sys.exit(main())
