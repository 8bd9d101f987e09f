"""What can go wrong, by cause: the command line and the CI decide by these classes."""

from __future__ import annotations

__all__ = [
    "ConflictError",
    "DataError",
    "LakeError",
    "PipelineError",
    "StorageError",
    "UpstreamError",
    "UsageError",
]


class PipelineError(Exception):
    """Base of every error that the data product raises on purpose."""


class UsageError(PipelineError):
    """The caller asked for what cannot be: a bad URL or run id, a run already committed."""


class UpstreamError(PipelineError):
    """The source is down, or answers with what is not the API's JSON."""

    def __init__(self, url: str, reason: str, *, page: int | None = None) -> None:
        where = f"{url} (page {page})" if page is not None else url
        super().__init__(f"The brewery API failed at {where}: {reason}.")
        self.url, self.reason, self.page = url, reason, page

    def __reduce__(self) -> tuple[object, ...]:
        # Airflow and process pools pickle exceptions; the default would pass the text as the url.
        return (_upstream_error, (self.url, self.reason, self.page))


def _upstream_error(url: str, reason: str, page: int | None) -> UpstreamError:
    return UpstreamError(url, reason, page=page)


class LakeError(PipelineError):
    """A file of the lake is missing, damaged or not what its manifest says."""


class StorageError(PipelineError):
    """What holds the lake cannot be read or written: full, forbidden, down, or not there."""


class ConflictError(PipelineError):
    """Another run is writing this lake, or was committed first; this one changed nothing."""


class DataError(PipelineError):
    """A run's data did not pass its verification, so it was not committed."""

    def __init__(self, run_id: str, problems: list[str]) -> None:
        more = f" ({len(problems) - 1} more)" if len(problems) > 1 else ""
        super().__init__(
            f"Run {run_id} was not committed: {problems[0]}{more}. What to do about it is in the "
            f"lake's verdict/run={run_id}/verdict.html."
        )
        self.run_id, self.problems = run_id, problems

    def __reduce__(self) -> tuple[object, ...]:
        return (type(self), (self.run_id, self.problems))
