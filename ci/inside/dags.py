"""Imports every DAG file of the image; fails with the traceback of the first that does not."""

from __future__ import annotations

import os
import runpy
import sys
from pathlib import Path


def main() -> None:
    """Run each file as Airflow would, under a name of its own."""
    folder = Path(os.environ["AIRFLOW__CORE__DAGS_FOLDER"])
    files = sorted(folder.glob("*.py"))
    if not files:
        sys.exit(f"There is no DAG file in {folder}.")
    for file in files:
        runpy.run_path(str(file), run_name=file.stem)
        print(file.name)


if __name__ == "__main__":
    main()
