"""The transform beside DuckDB and Polars doing the same work on the same pages."""
