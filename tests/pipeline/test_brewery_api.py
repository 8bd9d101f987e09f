"""The test server follows the API, and its rows are as dirty as they claim to be."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import pytest

import tests.brewery_api
from tests.brewery_api.breweries import Brewery, Dirt, generate, read_csv
from tests.brewery_api.faults import parse
from tests.brewery_api.server import BreweryServer
from tests.pipeline.conftest import SMALL, Serve

ROOT = Path(__file__).parents[2]
FIELDS = {
    "id",
    "name",
    "brewery_type",
    "address_1",
    "address_2",
    "address_3",
    "city",
    "state_province",
    "postal_code",
    "country",
    "longitude",
    "latitude",
    "phone",
    "website_url",
    "state",
    "street",
}


def get(api: BreweryServer, path: str) -> httpx.Response:
    return httpx.get(api.url + path)


def test_a_page_has_50_rows_unless_asked_otherwise(api: BreweryServer) -> None:
    assert len(get(api, "/v1/breweries").json()) == 50
    assert len(get(api, "/v1/breweries?per_page=200&page=3").json()) == SMALL - 400


@pytest.mark.parametrize(
    "query", ["per_page=201", "per_page=0", "page=0", "page=x", "sort=beer", "sort=name:up"]
)
def test_what_the_api_does_not_take_is_422(api: BreweryServer, query: str) -> None:
    assert get(api, f"/v1/breweries?{query}").status_code == 422


def test_sorting_by_several_fields(api: BreweryServer) -> None:
    rows = get(api, "/v1/breweries?per_page=200&sort=type,name:desc").json()
    names = [row["name"] for row in rows if row["brewery_type"] == rows[0]["brewery_type"]]
    types = [row["brewery_type"] for row in rows]
    assert types == sorted(types)
    assert names == sorted(names, reverse=True)


def test_meta_counts_what_there_is(api: BreweryServer) -> None:
    meta = get(api, "/v1/breweries/meta").json()
    assert (meta["total"], meta["page"], meta["per_page"]) == (SMALL, 1, 50)
    for name in ("by_state", "by_country", "by_type"):
        assert sum(meta[name].values()) == SMALL


def test_a_brewery_by_its_id(api: BreweryServer) -> None:
    brewery = api.breweries[0]
    assert get(api, f"/v1/breweries/{brewery['id']}").json() == brewery
    assert get(api, "/v1/breweries/none").status_code == 404
    assert get(api, "/none").status_code == 404


def test_health_is_no_api_request(api: BreweryServer) -> None:
    assert get(api, "/health").json() == {"status": "ok"}
    assert api.requests == []


def test_429_now_and_then(serve: Serve, small_rows: list[Brewery]) -> None:
    server = serve(small_rows, too_many_every=3)
    answers = [get(server, "/v1/breweries?per_page=1") for _ in range(6)]
    assert [answer.status_code for answer in answers] == [200, 200, 429, 200, 200, 429]
    assert answers[2].headers["Retry-After"] == "0"


def test_every_row_has_every_field(api: BreweryServer) -> None:
    rows = get(api, "/v1/breweries?per_page=200").json()
    assert all(set(row) == FIELDS for row in rows)
    assert all(row["street"] == row["address_1"] for row in rows)


def test_the_same_seed_gives_the_same_rows() -> None:
    assert generate(300, seed=7) == generate(300, seed=7) != generate(300, seed=8)


@pytest.mark.parametrize("rows", [0, 1, 99, 450, 12_000])
def test_generated_dirt_is_as_much_as_it_says(rows: int) -> None:
    dirt, breweries = Dirt.of(rows), generate(rows, seed=3)
    assert len(breweries) == rows
    assert rows - len({brewery["id"] for brewery in breweries}) == dirt.duplicates
    assert sum(map(rejectable, breweries)) == dirt.rejectable
    states = Counter(brewery["state_province"] for brewery in breweries)
    assert states["MIssouri"] + states["Deagu"] + states[" BAYERN "] == dirt.mixed_case


def rejectable(brewery: dict[str, Any]) -> bool:
    if not isinstance(brewery["name"], str) or brewery["latitude"] == "n/a":
        return True
    latitude, longitude = (float(brewery[name] or 0) for name in ("latitude", "longitude"))
    return abs(latitude) > 90 or abs(longitude) > 180


def test_generated_rows_hold_nulls_and_coordinates_of_both_kinds() -> None:
    rows = generate(SMALL, seed=7)
    kinds = Counter(type(row["longitude"]).__name__ for row in rows)
    assert min(kinds["str"], kinds["float"], kinds["NoneType"]) > 30
    for name in ("phone", "website_url", "address_1"):
        assert any(row[name] is None for row in rows)


def test_a_csv_is_served_with_nulls_for_empty_cells() -> None:
    rows = read_csv(ROOT / "tests/data/breweries.csv")
    assert rows[0]["name"] == 'Kraft & Söhne "Alt"'
    assert (rows[1]["latitude"], rows[1]["street"]) == (None, None)
    assert all(set(row) == FIELDS for row in rows)


def test_it_needs_nothing_but_the_standard_library() -> None:
    folder = Path(str(tests.brewery_api.__file__)).parent
    for path in folder.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [str(node.module)] if isinstance(node, ast.ImportFrom) else []
            for name in names:
                ours = name.startswith("tests.brewery_api")
                assert ours or name.split(".")[0] in sys.stdlib_module_names, f"{path}: {name}"
    assert (ROOT / "tests/__init__.py").read_text() == ""


def test_a_fault_spoils_every_nth_answer(serve: Serve, small_rows: list[Brewery]) -> None:
    server = serve(small_rows)
    server.spoilt = [parse("html@2"), parse("500@3")]
    answers = [get(server, "/v1/breweries?per_page=1") for _ in range(6)]
    assert [answer.status_code for answer in answers] == [200, 200, 500, 200, 200, 500]
    assert [answer.text[0] for answer in answers] == ["[", "<", "I", "<", "[", "I"]


def test_a_shift_adds_a_brewery_before_all_others(serve: Serve, small_rows: list[Brewery]) -> None:
    server = serve(small_rows)
    server.spoilt = [parse("shift@1")]
    first, second = (get(server, "/v1/breweries?sort=id&per_page=1").json()[0] for _ in range(2))
    assert second["id"] < first["id"]
    assert len(server.breweries) == SMALL + 2


@pytest.mark.parametrize("text", ["html", "html@", "html@0", "nonsense@3", "html@-1", "@2"])
def test_a_fault_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not NAME@N"):
        parse(text)


@pytest.mark.parametrize("csv", ["nowhere.csv", "pyproject.toml"])
def test_a_csv_that_is_none_is_refused_in_one_line(csv: str) -> None:
    command = [sys.executable, "-m", "tests.brewery_api", "--port", "0", "--csv", csv]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1), done.stderr


@pytest.mark.parametrize(
    "arguments, total",
    [
        pytest.param(["--rows", "30"], 30, id="generated"),
        pytest.param(["--csv", "tests/data/breweries.csv"], 4, id="csv"),
    ],
)
def test_the_command_serves_until_it_is_ended(arguments: list[str], total: int) -> None:
    # -I -S: no site-packages, as in a bare container; so the root is put on the path by hand.
    code = "import sys, runpy; sys.path.insert(0, '.'); runpy.run_module('tests.brewery_api', "
    command = [sys.executable, "-I", "-S", "-c", code + "run_name='__main__', alter_sys=True)"]
    environment = {k: v for k, v in os.environ.items() if k != "BREWERY_CSV"}
    process = subprocess.Popen(
        [*command, "--port", "0", *arguments],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=environment,
    )
    try:
        assert process.stdout
        line = process.stdout.readline()
        meta = json.loads(httpx.get(line.split()[-1] + "/v1/breweries/meta").text)
        assert meta["total"] == total
        process.terminate()
        assert process.wait(timeout=60) == 0
    finally:
        process.kill()
        process.communicate()
