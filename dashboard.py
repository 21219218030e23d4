"""The data space in a browser: python dashboard.py run [--port N]."""

from __future__ import annotations

import sys
from pathlib import Path

from supercube.dashboard.command import main

if __name__ == "__main__":
    sys.exit(main(project=Path(__file__).resolve().parent / "project"))
