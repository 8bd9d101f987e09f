"""The data product stands alone: it knows neither the orchestrator nor the CI."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import pipeline

FORBIDDEN = {"airflow", "ci", "dagger", "dags", "engine", "tests"}
MODULES = sorted(Path(str(pipeline.__file__)).parent.rglob("*.py"))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.name)
def test_pipeline_imports_only_downwards(path: Path) -> None:
    imported: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            imported |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            imported.add(str(node.module).split(".")[0])
    assert imported.isdisjoint(FORBIDDEN)
