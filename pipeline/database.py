"""DuckDB, the engine of the transform: bounded in memory, it spills to a folder of its own."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

import duckdb

from pipeline.errors import StorageError
from pipeline.spill import spill_folder

__all__ = ["Database", "database"]

Database = duckdb.DuckDBPyConnection

# Arrow's tables and Parquet buffers come on top: together they stay below 1.5 GiB.
MEMORY_LIMIT = "700MB"


@contextmanager
def database() -> Iterator[Database]:
    """An empty database in memory, which is gone with all that it spilled when the block ends.

    StorageError when there is no room to spill to.
    """
    with spill_folder() as spill:
        config: dict[str, str | bool | int | float | list[str]] = {
            "memory_limit": MEMORY_LIMIT,
            "temp_directory": spill,
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
            # Rows carry where they were read; order is asked for where it counts.
            "preserve_insertion_order": "false",
            # It takes streams to be one row long, and would hold them in memory to join them.
            "disabled_optimizers": "join_order,build_side_probe_side",
        }
        try:
            with duckdb.connect(config=config) as connection:
                yield connection
        except (duckdb.OutOfMemoryException, duckdb.IOException) as error:
            raise StorageError(
                f"The transform cannot keep what it works on below {tempfile.gettempdir()}: "
                f"{str(error).splitlines()[0]}. Free some space or memory there, or set TMPDIR."
            ) from error
