"""`python -m tests.integration`: use the stack that is up, verify what it made, say how it went.

Exit codes are those of the CI program: 0 passed, 1 code, 3 infrastructure, 5 upstream.
"""

from __future__ import annotations

import os
import sys
import time
from contextlib import suppress
from pathlib import Path

from tests.integration.airflow import Airflow
from tests.integration.dag_check import DagCheck
from tests.integration.dag_run import DagRun
from tests.integration.lake import keep_page, verify
from tests.integration.logs import keep
from tests.integration.source import require_rows, source_total
from tests.integration.stack import Stack
from tests.integration.verdict import Cause, Failed, Verdict

_READY_SECONDS = 300.0


def main() -> int:
    """Take every step until one fails; logs and the verdict are kept either way."""
    environ = os.environ
    out = Path(environ["BREWLINE_OUT"])
    logs = Path(environ["BREWLINE_LOGS"])
    token = environ["STACK_RUN"]
    out.mkdir(parents=True, exist_ok=True)
    folder = Path(environ.get("BREWLINE_STACK_FOLDER", "/stack"), token)
    stack = Stack.from_json(folder, environ["BREWLINE_STACK"])
    airflow = Airflow(environ["BREWLINE_AIRFLOW"], environ["BREWLINE_PASSWORD"])
    run = DagRun(
        airflow=airflow,
        stack=stack,
        dag_id=environ["BREWLINE_DAG"],
        run_id=environ["BREWLINE_RUN_ID"],
        logs=logs,
    )
    verdict = Verdict()
    try:
        with DagCheck.begun(environ["AIRFLOW__CORE__DAGS_FOLDER"], out / "logs") as check:
            _steps(verdict, run, check, out)
    except Exception as error:  # whoever reads the verdict tells it
        verdict.fail(error)
    verdict.facts["services"] = stack.states()
    keep([(logs, out / "logs/tasks"), (stack.folder, out / "logs/components")])
    verdict.write(out / "verdict.json")
    return verdict.exit_code


def _steps(verdict: Verdict, run: DagRun, check: DagCheck, out: Path) -> None:
    api, lake, page = os.environ["BREWLINE_API"], os.environ["BREWLINE_LAKE"], out / "verdict.html"
    with verdict.step("start"):
        verdict.facts["ready"] = run.stack.wait_ready(_READY_SECONDS)
        run.airflow.warm_up()
    with verdict.step("dags"):
        verdict.facts["dags"] = check.result(run.dag_id, _READY_SECONDS)
    with verdict.step("health"):
        run.airflow.log_in()
        verdict.facts["health"] = run.check_health()
        expected = _expected(api)
        verdict.facts["expected_rows"] = expected
    with verdict.step("import"):
        run.wait_parsed(_READY_SECONDS)
    with verdict.step("run"):
        try:
            run.run(float(os.environ["BREWLINE_TIME_LIMIT"]))
        except Failed:
            keep_page(lake, page)
            # A component that died explains more than what its absence led to; the mark of its
            # end may come a moment after its connections broke.
            time.sleep(1)
            run.stack.check()
            raise
        finally:
            with suppress(Failed):
                verdict.facts["tasks"] = run.states()
    with verdict.step("verify"):
        verdict.facts["lake"] = found = verify(lake, page)
        require_rows(found["bronze_rows"], expected, api)


def _expected(api: str) -> int:
    """Rows that the source has; where the caller knows better, the two must agree."""
    total = source_total(api)
    known = os.environ.get("BREWLINE_ROWS")
    if known and int(known) != total:
        raise Failed(Cause.INFRASTRUCTURE, f"The API serves {total} rows of a CSV of {known}.")
    return total


if __name__ == "__main__":
    sys.exit(main())
