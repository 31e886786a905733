"""Tell a collector how long requests and the stages of assessments take, where the operator names one.

Assumes of its caller: a name or an attribute says what kind of work it is and which submission by its id; never a path,
a name, an address or anything else that came from outside.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from typing import TYPE_CHECKING, Any

from sandbox.errors import CannotStart
from sandbox.settings import Settings

if TYPE_CHECKING:
    from flask import Flask
    from flask.wrappers import Response
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter

EXPORTER = "opentelemetry.exporter.otlp.proto.http.trace_exporter"
ANSWER_SECONDS = 3

_provider: TracerProvider | None = None


def start(settings: Settings, process: str, *, exporter: SpanExporter | None = None) -> None:
    """Begin to trace in this process; without the setting `traces` nothing is imported and nothing is told.

    Args:
        settings: `traces` is the collector's address for OTLP over HTTP, as in `http://collector:4318/v1/traces`.
        process: `web`, `worker` or `assessment`.
        exporter: instead of the collector's.

    Raises:
        CannotStart: traces are asked for and the packages for them are not installed.
    """
    global _provider  # one per process, as the library has it
    if not settings.traces or _provider is not None:
        return
    if importlib.util.find_spec("opentelemetry") is None or importlib.util.find_spec(EXPORTER) is None:
        raise CannotStart("AIACT_SANDBOX_TRACES is set: install aiact-sandbox[traces], or clear it.")
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    # Not `Resource.create`, which also tells of the machine, its user and the command line.
    told = Resource({"service.name": f"aiact-sandbox-{process}", "service.version": metadata.version("aiact-sandbox")})
    _provider = TracerProvider(resource=told, shutdown_on_exit=False)
    sent_to = exporter or OTLPSpanExporter(settings.traces, timeout=ANSWER_SECONDS)
    _provider.add_span_processor(BatchSpanProcessor(sent_to))


def stop() -> None:
    """Send what is left and stop; a collector that does not answer is waited for a few seconds at most."""
    global _provider
    if _provider is not None:
        _provider.shutdown()
        _provider = None


@contextmanager
def span(name: str, **attributes: str | int) -> Iterator[None]:
    """Tell how long a block takes, and the kind of an error that leaves it, without its words.

    Args:
        name: what kind of work it is.
        attributes: facts about it that are nobody's.
    """
    if _provider is None:
        yield
        return
    from opentelemetry.trace import StatusCode

    tracer = _provider.get_tracer("aiact-sandbox")
    with tracer.start_as_current_span(
        name, attributes=attributes, record_exception=False, set_status_on_exception=False
    ) as begun:
        try:
            yield
        except BaseException as error:
            begun.set_status(StatusCode.ERROR, type(error).__name__)
            raise


def trace_in(app: Flask, settings: Settings) -> None:
    """Tell of each request its method, the pattern of its route and its status.

    Args:
        app: the web application.
        settings: without `traces`, nothing is added to it.
    """
    if not settings.traces:
        return
    from flask import g, request

    start(settings, "web")

    @app.before_request
    def _begin() -> None:
        if _provider is not None:
            facts = {"http.request.method": request.method, "http.route": str(request.url_rule or "")}
            g.span = _provider.get_tracer("aiact-sandbox").start_span("request", attributes=facts)

    @app.after_request
    def _answered(response: Response) -> Response:
        if (begun := g.get("span")) is not None:
            begun.set_attribute("http.response.status_code", response.status_code)
        return response

    @app.teardown_request
    def _end(_error: Any) -> None:
        if (begun := g.pop("span", None)) is not None:
            begun.end()
