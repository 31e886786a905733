"""Who answers the questions: a model in its cell, the provider's record of its answers, or nobody.

Assumes of its caller: the bundle is in quarantine and was scanned. Only features are handed to a cell; labels and
columns that are only groups have no way in, because the questions are planned from the feature table alone.
"""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

from checks.asking import BASELINE, BATCH_ROWS, Plan, ask
from checks.declaration import Route
from checks.evidence import Answers, Table
from checks.sealing import Recorded
from model_cards.dossier import AttemptFacts, ReceiptFacts
from sandbox.errors import CellUnavailable, ModelFault
from sandbox.intake import Bundle
from sandbox.isolation.choose import choose
from sandbox.isolation.conversation import Conversation, setup_for
from sandbox.isolation.energy import EnergyMeter, per_thousand
from sandbox.isolation.interface import Attempt, Chosen, Limits, Receipt, RunningCell
from sandbox.isolation.pool import Pool
from sandbox.isolation.proved import Proved
from sandbox.isolation.receipt import profile_digest, require, write_receipt
from sandbox.isolation.spread import Spread, cells_for
from sandbox.lending.borrower import Borrowed, Shared
from sandbox.lending.link import Membership, categories_of
from sandbox.sealing_limits import data_committed
from sandbox.settings import Settings
from sandbox.stages import Cancelled, Watch

if TYPE_CHECKING:
    import pyarrow as pa

    from sandbox.environments.keeping import Environment

WARMED = ("pickle", "skops")
"""Formats whose models need the libraries that a cell can import before its model is there."""


class Respondent(Protocol):
    """Whoever answers for the system."""

    @property
    def recorded(self) -> Recorded | None:
        """Decisions and scores that the provider supplied, or None."""

    @property
    def fault(self) -> Mapping[str, Any] | None:
        """Why the model did not answer, as `{code, params}`; None where it did, or where none was asked."""

    @property
    def receipt(self) -> ReceiptFacts | None:
        """The isolation receipt; None where no model was run."""

    def answer(self, plans: Mapping[str, Plan], *, key: bytes, watch: Watch) -> dict[str, Answers]:
        """Answer all planned questions; nothing where there is nobody to ask or the model failed (see `fault`)."""


@dataclass(slots=True, kw_only=True)
class Absent:
    """Nobody answers: a submission of documents or counts."""

    recorded: Recorded | None = None
    fault: Mapping[str, Any] | None = None
    receipt: ReceiptFacts | None = None

    def answer(self, plans: Mapping[str, Plan], *, key: bytes, watch: Watch) -> dict[str, Answers]:  # noqa: ARG002  # one signature
        """Answer nothing."""
        return {}


@dataclass(slots=True, kw_only=True)
class InCell:
    """A model in cells of its own. They open at the first question and are gone when all is answered.

    The questions are spread over as many cells as the machine has room for, and over those that other workers of its
    cluster lend; what a plan wants asked afresh is asked of one more, which was asked nothing else.
    """

    bundle: Bundle
    table: Table
    limits: Limits
    ready: Ready
    lent: Borrowed | None = None
    recorded: Recorded | None = None
    fault: Mapping[str, Any] | None = None
    receipt: ReceiptFacts | None = None

    def answer(self, plans: Mapping[str, Plan], *, key: bytes, watch: Watch) -> dict[str, Answers]:
        """Load the model and ask it all; a fault of the model is kept in `fault`, it never ends the assessment."""
        with ExitStack() as stack:
            energy = stack.enter_context(EnergyMeter())
            anew = {name: plan for name, plan in plans.items() if plan.fresh}
            plans = {name: plan for name, plan in plans.items() if not plan.fresh}
            mixed = sum(plan.rows.num_rows for plan in plans.values() if not plan.apart)
            count = cells_for(-(-mixed // BATCH_ROWS), self.limits, beside=len(anew))
            cells = open_cells(self.bundle, self.table.features, self.ready.pool, self.limits, count + len(anew))
            for running, _ in cells:
                stack.callback(running.close)
            spread = Spread(cells[:count]) if self.lent is None else Shared(cells[:count], self.lent, rows=mixed)
            stack.callback(spread.close)
            others = dict(zip(anew, cells[count:], strict=True))
            for name, plan in anew.items():
                others[name][1].widen(categories_of(plan.rows))
            aside = stack.enter_context(ThreadPoolExecutor(max(1, len(anew)), thread_name_prefix="fresh"))
            # Before the threads are waited for: what they wait for is then gone.
            stack.callback(self._write_receipt, cells, energy)
            ours = [running for running, _ in cells]
            with cancelled_from_outside([*ours, *(() if self.lent is None else (self.lent,))], watch):
                return self._ask_all(spread, plans, anew, others, aside, key=key, watch=watch)

    def _ask_all(
        self,
        spread: Spread,
        plans: Mapping[str, Plan],
        anew: Mapping[str, Plan],
        others: Mapping[str, tuple[RunningCell, Conversation]],
        aside: ThreadPoolExecutor,
        *,
        key: bytes,
        watch: Watch,
    ) -> dict[str, Answers]:
        """Ask the cells that share the work, and beside them those that are asked something of their own."""
        answered: dict[str, Answers] = {}
        asides: list[Future[dict[str, Answers]]] = []
        try:
            with watch.stage("load"):
                spread.load()
            asides = [aside.submit(_ask_afresh, others[name][1], {name: plan}, key) for name, plan in anew.items()]
            with watch.stage("ask") as step:
                answered = ask(plans, spread.first.predict, key=key, progress=step, over=spread.over)
        except (ModelFault, CellUnavailable) as fault:
            for running, _ in others.values():
                running.cancel()
            self._keep(fault, watch)
            return self._ask_rows_alone(spread, plans, key=key, watch=watch)
        for name, one in zip(anew, asides, strict=True):
            try:
                answered |= one.result()
            except (ModelFault, CellUnavailable) as fault:
                self._keep(fault, watch, rows_answered=True, question=name)
        return answered

    def _keep(self, fault: ModelFault | CellUnavailable, watch: Watch, **more: Any) -> None:
        if watch.is_cancelled:
            raise Cancelled from fault
        if not isinstance(fault, ModelFault):
            raise fault
        self.fault = {"code": fault.code, **{k: v for k, v in fault.params.items() if v is not None}, **more}

    def _write_receipt(self, cells: Sequence[tuple[RunningCell, Conversation]], energy: EnergyMeter) -> None:
        talks = [talk for _, talk in cells]
        own = receipt_facts(
            write_receipt(
                self.ready.chosen.isolation,
                self.limits,
                self.ready.attempts,
                cells=[running for running, _ in cells],
                bytes_in=sum(talk.bytes_in for talk in talks),
                bytes_out=sum(talk.bytes_out for talk in talks),
                rows_asked=sum(talk.rows_asked for talk in talks),
                joules=energy.joules(),
                notes=self.ready.chosen.notes,
            ),
            test_data_by=("submitter", *(("reviewer",) if self.table.holdout is not None else ())),
            test_data_digest=self.bundle.data_digest or "",
            test_data_committed=data_committed(
                self.bundle.declaration, self.bundle.folder, self.bundle.files, started=dt.datetime.now(dt.UTC)
            ),
        )
        self.receipt = own if self.lent is None else self.lent.added_to(own)

    def _ask_rows_alone(
        self, spread: Spread, plans: Mapping[str, Plan], *, key: bytes, watch: Watch
    ) -> dict[str, Answers]:
        """Ask the real rows once more after a fault: a question of ours must not cost the system its own answers.

        Returns:
            The answers to the rows as they are, and `fault` then says that it was another question that failed;
            nothing where a cell is gone or the rows themselves were the fault.
        """
        if not spread.usable or set(plans) == {BASELINE} or BASELINE not in plans:
            return {}
        first = self.fault
        try:
            with watch.stage("ask") as step:
                answered = ask(
                    {BASELINE: plans[BASELINE]}, spread.first.predict, key=key, progress=step, over=spread.over
                )
        except (ModelFault, CellUnavailable) as again:
            self._keep(again, watch)
            return {}
        self.fault = {**(first or {}), "rows_answered": True}
        return answered


def open_cells(
    bundle: Bundle, features: pa.Table, pool: Pool, limits: Limits, count: int
) -> list[tuple[RunningCell, Conversation]]:
    """Open so many cells at once, none of them told anything yet.

    Args:
        bundle: whose model enters.
        features: the table whose schema and categories the cells are told; its rows are not looked at.
        pool: gives the cells.
        limits: of each.
        count: how many, at least 1.

    Returns:
        The cells, each with the conversation to hold with it. The caller closes them.

    Raises:
        CellUnavailable, ModelFault: as `Pool.take`; the others are closed then.
    """
    declaration = bundle.declaration
    assert declaration.model is not None
    model = bundle.folder / declaration.model.file
    setup = setup_for(
        declaration, features.schema, categories_of(features), bundle.model_format or "", f"/c/model/{model.name}"
    )
    with ThreadPoolExecutor(count) as at_once:
        opening = [at_once.submit(pool.take, model, bundle.beside) for _ in range(count)]
    failed = [why for one in opening if (why := one.exception()) is not None]
    if failed:
        for one in opening:
            if one.exception() is None:
                one.result().close()
        raise failed[0]
    return [(one.result(), Conversation(one.result(), setup, limits)) for one in opening]


def _ask_afresh(talk: Conversation, plans: Mapping[str, Plan], key: bytes) -> dict[str, Answers]:
    talk.load()
    return ask(plans, talk.predict, key=key)


@contextmanager
def cancelled_from_outside(cells: Sequence[RunningCell | Borrowed], watch: Watch) -> Iterator[None]:
    """End the cells as soon as somebody cancels, also in the middle of a long answer."""
    if watch.cancel is None:
        yield
        return
    cancel, over = watch.cancel, threading.Event()

    def wait() -> None:
        while not over.is_set():
            if cancel.wait(0.1):
                for running in cells:
                    running.cancel()
                return

    waiting = threading.Thread(target=wait, name="cancel", daemon=True)
    waiting.start()
    try:
        yield
    finally:
        over.set()
        waiting.join()


@contextmanager
def respondent(
    bundle: Bundle,
    table: Table | None,
    chosen: Chosen | CellUnavailable,
    limits: Limits,
    *,
    settings: Settings,
    organisation: str = "",
    membership: Membership | None = None,
) -> Iterator[Respondent]:
    """Give the respondent of a bundle.

    Args:
        bundle: accepted submission.
        table: its data, where it has rows.
        chosen: the wall to use, proved with these limits, or why there is none.
        limits: of the cell.
        settings: the operator's: where the packages come from that a model asks for.
        organisation: whose submission it is; its packages are kept apart from those of others.
        membership: of the cluster whose workers may lend cells; None where there are none to ask.

    Raises:
        CellUnavailable: there is no wall, or one of the receipt's probes did not hold: the run is void.
    """
    route = bundle.declaration.route
    if route is not Route.MODEL or table is None:
        yield Absent(recorded=bundle.recorded)
        return
    if isinstance(chosen, CellUnavailable):
        raise chosen
    with ExitStack() as stack:
        try:
            ready = stack.enter_context(readied(bundle, chosen, limits, settings=settings, organisation=organisation))
        except ModelFault as fault:
            # A finding, not an outage: what needs no answers is still judged.
            yield Absent(recorded=bundle.recorded, fault={"code": fault.code, **fault.params})
            return
        lent = None
        if membership is not None and settings.scheduler_spread_seconds:
            lent = Borrowed(
                membership,
                limits,
                bundle_digest=bundle.digest,
                profile_digest=profile_digest(ready.chosen.isolation.profile(limits)),
                features=table.features,
                worth_seconds=settings.scheduler_spread_seconds,
            )
        yield InCell(bundle=bundle, table=table, limits=limits, ready=ready, lent=lent)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """What stands ready for a bundle's model.

    Args:
        chosen: the wall, with what was said about it.
        attempts: the proof of it.
        pool: gives its cells.
    """

    chosen: Chosen
    attempts: tuple[Attempt, ...]
    pool: Pool


@contextmanager
def readied(
    bundle: Bundle, chosen: Chosen, limits: Limits, *, settings: Settings, organisation: str = ""
) -> Iterator[Ready]:
    """Prove the wall and get ready what the cells of a bundle's model need.

    Args:
        bundle, chosen, limits, settings, organisation: as for `respondent`.

    Raises:
        CellUnavailable: one of the wall's probes did not hold.
        ModelFault: the packages that the model asks for cannot be had.
    """
    attempts = tuple(chosen.isolation.prove(limits))
    require(chosen.isolation, attempts)
    environment: Environment | None = None
    if bundle.requirements:
        from sandbox.environments.keeping import environment_of

        # The wall was tried; a builder holds no upload, and trying it again with a builder's room takes minutes.
        wall = chosen.isolation.isolation if isinstance(chosen.isolation, Proved) else chosen.isolation
        environment = environment_of(bundle.requirements, isolation=wall, settings=settings, organisation=organisation)
        chosen = replace(chosen, notes=(*chosen.notes, environment.note()))
    with (
        environment.held() if environment else nullcontext(),
        Pool(chosen.isolation, limits, environment=environment.mount if environment else None) as pool,
    ):
        if bundle.model_format in WARMED and environment is None:
            # While the questions are planned; a model enters only after that.
            pool.fill(2)
        yield Ready(chosen=chosen, attempts=attempts, pool=pool)


def wall_or_why_not(name: str, settings: Settings, limits: Limits | None = None) -> Chosen | CellUnavailable:
    """Choose the wall and prove it, before any upload is opened; or say why there is none.

    What needs no model goes on without one.

    Args:
        name: one of `sandbox.isolation.choose.NAMES`.
        settings: of the operator.
        limits: of the cells of the run; the default ones when None.

    Returns:
        The wall, whose cells only open behind a proof that held.
    """
    try:
        chosen = choose(name, settings)
        isolation = Proved(chosen.isolation)
        require(isolation, isolation.prove(limits or Limits()))
        return Chosen(isolation=isolation, notes=chosen.notes)
    except CellUnavailable as none:
        return none


def receipt_facts(
    receipt: Receipt,
    *,
    test_data_by: tuple[str, ...] = (),
    test_data_digest: str = "",
    test_data_committed: dt.datetime | None = None,
) -> ReceiptFacts:
    """Turn the receipt into what documents show.

    Args:
        receipt: of the run.
        test_data_by, test_data_digest, test_data_committed: whose rows were asked, and which, see `ReceiptFacts`.
    """
    return ReceiptFacts(
        backend=receipt.backend,
        runtime=receipt.runtime,
        image=receipt.image,
        profile_digest=receipt.profile_digest,
        user=receipt.user,
        memory_limit_by=receipt.memory_limit_by,
        limits={name: float(getattr(receipt.limits, name)) for name in receipt.limits.__slots__},
        probes=tuple(
            AttemptFacts(probe=a.probe, expected=a.expected, observed=a.observed, held=a.held) for a in receipt.attempts
        ),
        ending=receipt.ending.value,
        seconds=receipt.meters.seconds,
        cpu_seconds=receipt.meters.cpu_seconds,
        peak_bytes=receipt.meters.peak_bytes,
        bytes_in=receipt.bytes_in,
        bytes_out=receipt.bytes_out,
        rows_asked=receipt.rows_asked,
        joules=receipt.joules,
        cpu_seconds_per_1000_predictions=per_thousand(receipt.meters.cpu_seconds, receipt.rows_asked),
        joules_per_1000_predictions=per_thousand(receipt.joules, receipt.rows_asked),
        test_data_by=test_data_by,
        test_data_digest=test_data_digest,
        test_data_committed="" if test_data_committed is None else test_data_committed.isoformat(timespec="seconds"),
        notes=receipt.notes,
    )
