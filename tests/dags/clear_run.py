"""`python -m tests.dags.clear_run`: a run fails within its deadline, and its tasks are cleared."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

from airflow.dag_processing.bundles.manager import DagBundlesManager
from airflow.dag_processing.dagbag import BundleDagBag, sync_bag_to_db
from airflow.models.deadline import Deadline
from airflow.models.serialized_dag import SerializedDagModel
from airflow.models.taskinstance import clear_task_instances
from airflow.utils.session import create_session
from airflow.utils.state import DagRunState
from airflow.utils.types import DagRunTriggeredByType, DagRunType


def main() -> None:
    """Print the run's state after that, and the minutes that it has from then on."""
    untyped: Any = DagBundlesManager
    manager = untyped()
    with create_session() as session:
        manager.sync_bundles_to_db(session=session)
    (bundle,) = manager.get_all_dag_bundles()
    bundle.initialize()
    bag = BundleDagBag(bundle.path, bundle_path=bundle.path, bundle_name=bundle.name)
    sync_bag_to_db(bag, bundle.name, bundle.version)
    with create_session() as session:
        serialized = SerializedDagModel.get("brewery_pipeline", session=session)
        assert serialized is not None
        run = serialized.dag.create_dagrun(
            run_id="fails",
            run_after=datetime.now(timezone.utc),
            run_type=DagRunType.MANUAL,
            triggered_by=DagRunTriggeredByType.TEST,
            state=DagRunState.QUEUED,
            session=session,
        )
        run.set_state(DagRunState.FAILED)
        clear_task_instances(run.get_task_instances(session=session), session=session)
        deadline = session.query(Deadline).filter_by(dagrun_id=run.id).one()
        assert run.queued_at is not None
        minutes = (deadline.deadline_time - run.queued_at).total_seconds() / 60
        print(run.state, round(minutes))


if __name__ == "__main__":
    main()
