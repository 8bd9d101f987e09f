"""`python -m tests.dags.run_dag DATE CONF`: `dag.test()` of the pipeline; prints how it went."""

from __future__ import annotations

import json
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from airflow.dag_processing.dagbag import DagBag
from airflow.models.asset import AssetEvent
from airflow.utils.session import create_session

FILE = Path(__file__).parents[2] / "dags/brewery_pipeline.py"


def main(date: str, conf: str) -> None:
    """Run the DAG for a logical date, without waiting between tries."""
    dag: Any = DagBag(FILE).dags["brewery_pipeline"]
    # With one, `dag.test()` of Airflow 3.3.2 fails after success (apache/airflow issue 73428).
    dag.deadline = None
    for task in dag.tasks:
        task.retry_delay = timedelta(0)
    run = dag.test(logical_date=datetime.fromisoformat(date), run_conf=json.loads(conf))
    with create_session() as session:
        events = session.query(AssetEvent).filter_by(source_run_id=run.run_id).all()
        report = {
            "state": run.state,
            "tasks": [
                [ti.task_id, ti.map_index, ti.state, ti.try_number]
                for ti in run.get_task_instances(session=session)
            ],
            "assets": {event.asset.name: event.extra for event in events},
        }
    print(json.dumps(report))


if __name__ == "__main__":
    main(*sys.argv[1:])
