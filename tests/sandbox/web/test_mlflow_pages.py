"""What of MLflow's GraphQL is passed on: single reads whose runs and experiments were all looked up first."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

import pytest
from flask import Flask

from sandbox.errors import NotAllowed
from sandbox.web import mlflow_pages

RUN = "query Q($data: MlflowGetRunInput!) { mlflowGetRun(input: $data) { run { info { runName } } } }"
MINE = {"data": {"runId": "mine"}}


class Noted:
    """A reader who may see everything, and notes what is looked up."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def allow_runs(self, ids: Iterable[str]) -> None:
        self.asked += [f"run {one}" for one in ids]

    def allow_experiments(self, ids: Iterable[str]) -> None:
        self.asked += [f"experiment {one}" for one in ids]


def looked_up(body: Any) -> list[str]:
    """What is looked up before this body is passed on."""
    reader = Noted()
    with Flask(__name__).test_request_context(method="POST", json=body):
        mlflow_pages._by_graphql(cast("mlflow_pages.Reader", reader))
    return reader.asked


def test_every_run_and_experiment_that_a_query_names_is_looked_up() -> None:
    assert looked_up({"query": RUN, "variables": MINE}) == ["run mine"]
    two = (
        "query Q($a: MlflowGetRunInput!, $b: MlflowSearchRunsInput!) {"
        " x: mlflowGetRun(input: $a) { run { info { runName } } }"
        " y: mlflowSearchRuns(input: $b) { runs { info { runId } } }"
        "}"
    )
    given = {"a": {"runId": "r", "runUuid": "s"}, "b": {"experimentIds": ["1", "2"]}}
    assert looked_up({"query": two, "variables": given}) == ["run r", "run s", "experiment 1", "experiment 2"]
    both = {"data": {"runIds": ["r"], "experimentIds": ["1"]}}
    assert looked_up({"query": RUN, "variables": both}) == ["run r", "experiment 1"]


@pytest.mark.parametrize(
    "body",
    [
        {
            "query": "query Q { ...F } fragment F on Query"
            ' { mlflowGetRun(input: {runId: "x"}) { run { info { runId } } } }'
        },
        {"query": 'query Q { ... on Query { mlflowGetRun(input: {runId: "x"}) { run { info { runId } } } } }'},
        {"query": '{ mlflowGetRun(input: {runId: "x"}) { run { info { runId } } } }'},
        {"query": RUN.replace("!)", '! = {runId: "x"})')},
        {"query": RUN.replace("!)", '! = {runId: "x"})'), "variables": {"data": None}},
        {"query": RUN, "variables": {"other": {"runId": "mine"}}},
        {"query": RUN, "variables": '{"data": {"runId": "mine"}}'},
        {"query": RUN, "variables": {"data": {"runId": ["mine", ["x"]]}}},
        {"query": RUN, "variables": {"data": {"runId": 7}}},
        {"query": RUN.replace("mlflowGetRun(", "mlflowGetRun: mlflowDeleteRun("), "variables": MINE},
        {"query": RUN.replace("input: $data", 'input: $data, other: "x"'), "variables": MINE},
        {"query": f"{RUN} {RUN.replace('Q', 'P')}", "operationName": "P", "variables": MINE},
        {"query": RUN.replace("query", "mutation"), "variables": MINE},
        {"query": RUN.replace("query", "subscription"), "variables": MINE},
        {"query": "{ __schema { types { name } } }"},
        {"query": "{" + "a {" * 20_000 + "a" + "}" * 20_001},
        {"query": ["x"]},
        {},
        [{"query": RUN, "variables": MINE}],
    ],
)
def test_what_asks_in_a_way_that_was_not_looked_at_is_not_passed_on(body: Any) -> None:
    with pytest.raises(NotAllowed):
        looked_up(body)
