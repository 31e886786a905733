"""Show MLflow's own pages to whoever is signed in: reading alone, and only the experiments of their organisations.

MLflow has one credential and knows no organisations. It listens where only this service reaches it; what a browser asks
of it goes through here. An address is passed on only if it is in the tables below, and only after the experiments that
it is about were looked up and found to be the reader's. What is in no table is not there.

Assumes of its caller: the guard has found somebody who may read in at least one organisation.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

from flask import Blueprint, Response, g, request

from sandbox.errors import NotAllowed
from sandbox.records.mlflow_log import ORGANISATION_TAG, credential
from sandbox.review.permissions import Permission
from sandbox.web.identity import organisations
from sandbox.web.pages import service

if TYPE_CHECKING:
    import requests

blueprint = Blueprint("mlflow", __name__, url_prefix="/mlflow")

SECONDS: Final = 20
LARGEST_BODY: Final = 64 * 1024
LISTED_AT_ONCE: Final = 1000
PAGE_FILES: Final = re.compile(r"static-files(/[A-Za-z0-9_-][A-Za-z0-9._-]*)+")
"""Names of the files of MLflow's pages: none leads upwards, and none means something else once it is decoded again."""
PASSED_BACK: Final = ("Content-Type", "Content-Disposition", "Last-Modified", "ETag")

RUN_QUERIES: Final = ("run_id", "run_uuid", "run_ids")
GRAPHQL_READS: Final = frozenset(
    {
        "mlflowGetExperiment",
        "mlflowGetRun",
        "mlflowListArtifacts",
        "mlflowGetMetricHistoryBulkInterval",
        "mlflowSearchRuns",
        "mlflowSearchModelVersions",
    }
)
"""What of MLflow's GraphQL is passed on: single reads, each about runs or experiments that its variables name."""


class Reader:
    """What one reader may see of MLflow.

    Args:
        address: of the tracking server.
        whose: ids of organisations; None for all.
        session: connections to the server.
    """

    def __init__(self, address: str, whose: tuple[str, ...] | None, session: requests.Session) -> None:
        self._address, self._whose, self._session = address, whose, session

    def ask(self, method: str, path: str, **how: Any) -> requests.Response:
        """Ask the server; a redirect of its is not followed."""
        url = f"{self._address}/{path}"
        return self._session.request(method, url, timeout=SECONDS, allow_redirects=False, **how)

    def _json(self, path: str, **params: str) -> Any:
        answer = self.ask("GET", f"ajax-api/2.0/mlflow/{path}", params=params)
        if answer.status_code != 200:
            raise NotAllowed("MLflow does not have it")
        return answer.json()

    def allow_experiments(self, ids: Iterable[str]) -> None:
        """Refuse unless every one of these experiments is the reader's.

        Raises:
            NotAllowed: none is named, or one is not theirs or not there.
        """
        wanted = {str(i) for i in ids}
        if not wanted:
            raise NotAllowed("it is about no experiment")
        for one in wanted:
            tags = self._json("experiments/get", experiment_id=one)["experiment"].get("tags", [])
            if not self.owns(tags):
                raise NotAllowed("that experiment is another's")

    def allow_runs(self, ids: Iterable[str]) -> None:
        """Refuse unless every one of these runs is in an experiment of the reader's."""
        wanted = {str(i) for i in ids}
        if not wanted:
            raise NotAllowed("it is about no run")
        self.allow_experiments(self._json("runs/get", run_id=one)["run"]["info"]["experiment_id"] for one in wanted)

    def allow_model(self, model_id: str) -> None:
        """Refuse unless this logged model is in an experiment of the reader's."""
        found = self._json(f"logged-models/{model_id}")
        self.allow_experiments([found["model"]["info"]["experiment_id"]])

    def experiments(self, asked: Mapping[str, Any]) -> list[Any] | requests.Response:
        """List the reader's experiments; what is asked for is looked for among them alone.

        How many pages there are of an answer would otherwise tell whether another's experiment has a name or tag.

        Args:
            asked: `filter`, `order_by` and `view_type` of MLflow, each where it is given.

        Returns:
            All of them, by organisation; MLflow's own answer where it refuses what is asked.
        """
        found: list[Any] = []
        given = str(asked.get("filter") or "")
        own = "" if self._whose is None else "tags.`{}` = '{}'"
        for organisation in ("",) if self._whose is None else self._whose:
            # Ours stands first: what follows can begin a comment.
            both = " AND ".join(filter(None, (own.format(ORGANISATION_TAG, organisation), given)))
            page = {**asked, "filter": both, "max_results": LISTED_AT_ONCE}
            while True:
                answer = self.ask("POST", "ajax-api/2.0/mlflow/experiments/search", json=page)
                if answer.status_code != 200:
                    return answer
                told = answer.json()
                found += [e for e in told.get("experiments", []) if self.owns(e.get("tags", []))]
                if not told.get("next_page_token"):
                    break
                page["page_token"] = told["next_page_token"]
        return found

    def owns(self, tags: Iterable[Mapping[str, str]]) -> bool:
        """Tell whether an experiment with these tags is the reader's."""
        if self._whose is None:
            return True
        named = {tag["key"]: tag["value"] for tag in tags}
        return named.get(ORGANISATION_TAG) in self._whose


# ---- which address is about what; an address that is not here is not passed on


def _by_experiment_query(reader: Reader) -> None:
    reader.allow_experiments(request.args.getlist("experiment_id"))


def _by_run_query(reader: Reader) -> None:
    reader.allow_runs(value for name in RUN_QUERIES for value in request.args.getlist(name))


def _by_experiments_in_body(reader: Reader) -> None:
    body = _body()
    # MLflow takes a field by its other spelling too, and the last of both.
    if not all(re.fullmatch("[a-z_]+", name) for name in body):
        raise NotAllowed("the request cannot be read")
    reader.allow_experiments(_strings(body.get("experiment_ids")))


def _by_graphql(reader: Reader) -> None:
    """Look at every field of the one query: it must be a known read, about runs or experiments that are named."""
    from graphql import FieldNode, GraphQLError, OperationDefinitionNode, OperationType, VariableNode, parse

    body = _body()
    try:
        document = parse(str(body.get("query", "")))
    except GraphQLError as wrong:
        raise NotAllowed("the query cannot be read") from wrong
    operations = [d for d in document.definitions if isinstance(d, OperationDefinitionNode)]
    if len(operations) != 1 or operations[0].operation is not OperationType.QUERY:
        raise NotAllowed("it is not one query")
    variables = body.get("variables")
    for field in operations[0].selection_set.selections:
        if not isinstance(field, FieldNode) or field.name.value not in GRAPHQL_READS or len(field.arguments) != 1:
            raise NotAllowed("it asks for more than is passed on")
        given = field.arguments[0].value
        # Only what stands in the variables can be looked at here as the server will see it.
        if not isinstance(given, VariableNode) or not isinstance(variables, dict):
            raise NotAllowed("what it asks for stands in no variable")
        asked = variables.get(given.name.value)
        if not isinstance(asked, dict):
            raise NotAllowed("what it asks for stands in no variable")
        runs = [v for name in ("runId", "runUuid") for v in _strings(asked.get(name))] + _strings(asked.get("runIds"))
        experiments = _strings(asked.get("experimentId")) + _strings(asked.get("experimentIds"))
        if field.name.value == "mlflowSearchModelVersions":
            raise NotAllowed("no models are registered here")
        if runs:
            reader.allow_runs(runs)
        if experiments or not runs:
            reader.allow_experiments(experiments)


Check = Callable[[Reader], None]
READS: Final[Mapping[tuple[str, str], Check | None]] = {
    ("GET", "ajax-api/2.0/mlflow/experiments/get"): _by_experiment_query,
    ("POST", "ajax-api/2.0/mlflow/runs/search"): _by_experiments_in_body,
    ("GET", "ajax-api/2.0/mlflow/runs/get"): _by_run_query,
    ("GET", "ajax-api/2.0/mlflow/artifacts/list"): _by_run_query,
    ("GET", "get-artifact"): _by_run_query,
    ("GET", "ajax-api/2.0/mlflow/metrics/get-history"): _by_run_query,
    ("GET", "ajax-api/2.0/mlflow/metrics/get-history-bulk"): _by_run_query,
    ("GET", "ajax-api/2.0/mlflow/metrics/get-history-bulk-interval"): _by_run_query,
    ("POST", "ajax-api/2.0/mlflow/logged-models/search"): _by_experiments_in_body,
    ("POST", "graphql"): _by_graphql,
}
"""Reads by method and path, each with what looks up whose they are."""

LISTS: Final = frozenset(
    {("GET", "ajax-api/2.0/mlflow/experiments/search"), ("POST", "ajax-api/2.0/mlflow/experiments/search")}
)
"""Reads that list experiments: they are asked for among the reader's own alone."""


@blueprint.get("/")
def home() -> Response:
    """Give MLflow's page, which asks for the rest."""
    return _passed("GET", "", is_page=True)


@blueprint.route("/<path:path>", methods=["GET", "POST"])
def read(path: str) -> Response:
    """Pass on one address of MLflow's, where the tables allow it."""
    if request.method == "GET" and PAGE_FILES.fullmatch(path):
        return _passed("GET", path)
    reader = _reader()
    asked = (request.method, path)
    if asked in LISTS:
        return _listed(reader)
    if request.method == "GET" and path.startswith("ajax-api/2.0/mlflow/logged-models/"):
        model_id = path.removeprefix("ajax-api/2.0/mlflow/logged-models/")
        if not model_id.replace("-", "").isalnum():
            raise NotAllowed("MLflow does not have it")
        reader.allow_model(model_id)
        return _passed("GET", path)
    check = READS.get(asked)
    if check is None:
        raise NotAllowed("this address of MLflow is not passed on")
    check(reader)
    return _passed(request.method, path)


def _listed(reader: Reader) -> Response:
    if request.method == "POST":
        given = _body()
    else:
        given = {"order_by": request.args.getlist("order_by")} | {
            n: request.args.get(n) for n in ("filter", "view_type")
        }
    found = reader.experiments({n: given[n] for n in ("filter", "order_by", "view_type") if given.get(n)})
    if not isinstance(found, list):
        return _answer(found)
    return Response(json.dumps({"experiments": found}), 200, mimetype="application/json")


def _passed(method: str, path: str, *, is_page: bool = False) -> Response:
    g.is_mlflow = True
    g.is_document = path == "get-artifact"
    return _answer(_reader().ask(method, path, stream=not is_page, **_asked()))


def _asked() -> dict[str, Any]:
    """Give what is passed on of the request: its query and a small JSON body, no header and no cookie."""
    how: dict[str, Any] = {"params": list(request.args.items(multi=True))}
    if request.method == "POST":
        how["json"] = _body()
    return how


def _answer(answer: requests.Response) -> Response:
    kept = {name: answer.headers[name] for name in PASSED_BACK if name in answer.headers}
    return Response(answer.iter_content(64 * 1024), answer.status_code, kept)


def _body() -> dict[str, Any]:
    given = request.get_json(silent=True)
    if not isinstance(given, dict) or (request.content_length or 0) > LARGEST_BODY:
        raise NotAllowed("the request cannot be read")
    return given


def _strings(value: Any) -> list[str]:
    match value:
        case str():
            return [value]
        case list() if all(isinstance(v, str) for v in value):
            return list(value)
        case None:
            return []
        case _:
            raise NotAllowed("the request cannot be read")


def _reader() -> Reader:
    import requests

    settings = service().settings
    address = settings.mlflow_tracking_uri
    if not address.startswith(("http://", "https://")):
        raise NotAllowed("there is no MLflow server")
    session = requests.Session()
    # Neither a proxy nor a password of the machine's user goes with it.
    session.trust_env = False
    session.auth = credential(settings)
    return Reader(address.rstrip("/"), organisations(Permission.READ), session)
