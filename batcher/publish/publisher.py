"""Write the newest totals of summaries into their workspaces, until they are there.

Level-triggered: what waits is one newest version a summary, never a queue of changes. One worker a
workspace that has something to be told, and one request in flight a worker, so that a slow or refusing
workspace delays no other. How a write is brought to the server is in :mod:`batcher.publish.exchange`, how
fast a workspace is written to in :mod:`batcher.publish.budget`.

Never writes outside the allowed workspaces, and keeps nothing on disk: what was in flight in a crash is
written again from committed state, and finds itself there.
"""

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from batcher.clock import Now, to_micros
from batcher.errors import Unavailable
from batcher.publish.addresses import has_address
from batcher.publish.answers import Answer, Meaning
from batcher.publish.budget import Budget
from batcher.publish.delivery import Delivery
from batcher.publish.figures import Figures, WorkspaceFigures
from batcher.publish.waiting import Entry, Waiting
from batcher.publish.writes import Outcome, Result, Write

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0
"""Seconds that a workspace is left alone after it could not answer, doubling: 0.5, 1, 2 ... 30."""
SECOND_CHANCES = (60.0, 300.0, 1800.0)
"""Seconds until a write is tried again that was refused for something that people change: 36 minutes in all."""
REMEMBERED = 200_000
"""Summaries whose last outcome is remembered, so that what is not in the state yet is not sent again."""
FRESH_SECONDS = 60.0
"""How long a write may wait as it was rendered, with the names of nodes and the cause that were known then."""
DRAIN_SECONDS = 20.0
"""Less than the 30 s that Kubernetes gives a process between SIGTERM and SIGKILL."""


class _Told(NamedTuple):
    """The last outcome of a summary: which version, as which resourceVersion, and where."""

    version: int = -1
    resource_version: str | None = None
    workspace: str = ""


_NOTHING = _Told()


@dataclass(frozen=True)
class Status:
    """The publisher at a moment."""

    pending: int
    written: int
    refused: int
    last_error: str
    """Why a workspace is not told what waits for it; empty when all are."""
    figures: Mapping[str, WorkspaceFigures]
    """What was written and refused, by workspace."""


class Publisher:
    """Writes summaries; what became of them is taken with :meth:`take_outcomes`."""

    def __init__(
        self,
        delivery: Delivery,
        *,
        now: Now,
        per_second: float = 20.0,
        max_pending: int = 100_000,
        remembered: int = REMEMBERED,
    ) -> None:
        """Write by ``delivery``, and nowhere that its targets do not name; hold at most ``max_pending`` writes.

        Each workspace is sent at most ``per_second`` of them. A write that conflicts costs more requests than one.
        The last outcomes of ``remembered`` summaries are kept until the process ends.
        """
        self._delivery = delivery
        self._targets = delivery.targets
        self._now = now
        self._budget = Budget(per_second)
        self._max_pending = max_pending
        self._remembered = remembered
        self._workspaces: dict[str, Waiting] = {}
        self._without_worker: list[str] = []
        self._outcomes: list[Outcome] = []
        self._told: OrderedDict[str, _Told] = OrderedDict()
        self._restored: set[str] = set()
        self._work_is_there = asyncio.Event()
        self._something_ended = asyncio.Event()
        self._figures = Figures()
        self._written = self._refused = 0

    def pace(self, per_second: float) -> None:
        """Send each workspace from now on at most ``per_second`` writes."""
        self._budget.pace(per_second)

    def offer(self, writes: Iterable[Write]) -> None:
        """Take ``writes`` to be sent; a newer version replaces one that waits. Never blocks.

        What there is no room for is not taken: it stays in committed state, to be offered again. When all
        the room is used, a workspace with less takes from the one with most.
        """
        room, at = self._max_pending - self._pending, asyncio.get_running_loop().time()
        for write in writes:
            if self._handled(write.summary, write.version):
                continue
            if refusal := self._refusal(write):
                self._end(write, Result.REFUSED, None, refusal)
            elif room > 0 or self._makes_room(write):
                room -= self._waiting(write.workspace).put(write, first=self._known(write) is None, at=at)

    def has(self, workspace: str, summary: str, version: int) -> bool:
        """Whether offering ``version`` now would change nothing but the wording of what waits, and that is fresh.

        It is so when its outcome is known, when it is in flight, and for :data:`FRESH_SECONDS` after it was offered.
        """
        if self._handled(summary, version):
            return True
        waiting = self._workspaces.get(workspace)
        return waiting is not None and waiting.has(summary, version, asyncio.get_running_loop().time() - FRESH_SECONDS)

    def _handled(self, summary: str, version: int) -> bool:
        """Whether the outcome of this version is on its way into the state already."""
        return self._told.get(summary, _NOTHING).version >= version

    def _refusal(self, write: Write) -> str:
        """Why ``write`` is not to be sent at all; empty: it may be."""
        if not has_address(write):
            return "NoAddress"
        target = self._targets.of(write.workspace)
        return target.reason if isinstance(target, Answer) and target.meaning is Meaning.NEVER else ""

    def _makes_room(self, write: Write) -> bool:
        """Whether there is room after all: for a newer version, or taken from the workspace with most."""
        ours = self._workspaces.get(write.workspace)
        if ours and ours.holds(write.summary):
            return True
        largest = max(self._workspaces.values(), key=len)
        if len(largest) <= (len(ours) if ours else 0) + 1:
            return False
        largest.give_up_newest()
        return True

    @property
    def _pending(self) -> int:
        return sum(len(waiting) for waiting in self._workspaces.values())

    def _waiting(self, workspace: str) -> Waiting:
        if workspace not in self._workspaces:
            self._workspaces[workspace] = Waiting()
            self._without_worker.append(workspace)
            self._work_is_there.set()
        return self._workspaces[workspace]

    def take_outcomes(self) -> list[Outcome]:
        """Return the outcomes since the last call, and forget them."""
        taken, self._outcomes = self._outcomes, []
        return taken

    def take_restored(self) -> set[str]:
        """Return the workspaces, since the last call, of which kcp has forgotten writes that it had answered.

        It was restored from a backup, or another workspace was made at the path: a resourceVersion went back.
        """
        taken, self._restored = self._restored, set()
        return taken

    def forget(self, workspaces: Container[str]) -> None:
        """Take writes to ``workspaces`` again whatever was told of them before."""
        self._told = OrderedDict((name, told) for name, told in self._told.items() if told.workspace not in workspaces)

    def keep(self, goes_on: Container[str]) -> None:
        """Try no more what is not among ``goes_on``, the summaries that are still open."""
        for waiting in self._workspaces.values():
            waiting.keep(goes_on)
        self._something_ended.set()

    @property
    def status(self) -> Status:
        """The publisher at this moment."""
        trouble = next((waiting.trouble for waiting in self._workspaces.values() if waiting.trouble), "")
        return Status(self._pending, self._written, self._refused, trouble, self._figures.all)

    async def run(self) -> None:
        """Write for ever: one worker a workspace, for as long as it has something to be told."""
        async with asyncio.TaskGroup() as group:
            while True:
                await self._work_is_there.wait()
                self._work_is_there.clear()
                fresh, self._without_worker = self._without_worker, []
                self._budget.forget(asyncio.get_running_loop().time())
                for workspace in fresh:
                    group.create_task(self._work(workspace))

    async def drain(self, seconds: float = DRAIN_SECONDS) -> bool:
        """Return whether all that could be written was: at once when it is, at the latest after ``seconds``.

        A write that was refused for something that people change is not waited for, because its next try is
        a minute or more away. A workspace that is away is waited for until ``seconds`` have passed. What is
        left stays in committed state and is offered again, by the next batch or the next process.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self._can_go_on():
                    self._something_ended.clear()
                    await self._something_ended.wait()
        return not self._can_go_on()

    def appeared(self, workspaces: Iterable[str]) -> None:
        """Try at once what waits for the cause to pass in ``workspaces``: they can be written to from now on."""
        for workspace in workspaces:
            if workspace in self._workspaces:
                self._workspaces[workspace].unpark()

    def _can_go_on(self) -> bool:
        return any(waiting.can_go_on for waiting in self._workspaces.values())

    async def _work(self, workspace: str) -> None:
        """Tell ``workspace`` what waits for it, one at a time, until nothing is left."""
        waiting = self._workspaces[workspace]
        failures = 0
        while entry := await self._next(workspace, waiting):
            answer, version = await self._try(entry.write)
            self._judge(waiting, entry, answer, version)
            self._something_ended.set()
            if answer.meaning in {Meaning.LATER, Meaning.READ_FIRST}:
                backoff = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(failures, 16))
                failures += 1
                await asyncio.sleep(answer.after or backoff)
            else:
                failures = 0
        del self._workspaces[workspace]

    async def _next(self, workspace: str, waiting: Waiting) -> Entry | None:
        """Return the next write, chosen no sooner than the budget has one left, and spend it; None when none waits."""
        loop = asyncio.get_running_loop()
        while (pause := self._budget.pause(self._targets.name(workspace), loop.time())) > 0:  # noqa: ASYNC110  time
            await asyncio.sleep(pause)
        entry = await waiting.take()
        if entry:
            self._budget.spend(self._targets.name(workspace), loop.time())
        return entry

    def _known(self, write: Write) -> str | None:
        """The resourceVersion with which the summary was last seen in its workspace."""
        return self._told.get(write.summary, _NOTHING).resource_version or write.resource_version

    async def _try(self, write: Write) -> tuple[Answer, str | None]:
        """Try once; whatever goes wrong is no answer, for one bad answer must not end the service."""
        try:
            return await self._delivery.bring(write, self._known(write))
        except Unavailable as error:
            return Answer(Meaning.LATER, str(error)), None
        except Exception as error:  # noqa: BLE001  see above
            return Answer(Meaning.LATER, f"{type(error).__name__}: {error}"), None

    def _judge(self, waiting: Waiting, entry: Entry, answer: Answer, version: str | None) -> None:
        """Let the write in flight end, or wait for its next try."""
        waiting.trouble = "" if answer.meaning is Meaning.WRITTEN else f"{entry.write.workspace}: {answer.reason}"
        if answer.meaning is Meaning.WRITTEN:
            if _went_back(self._known(entry.write), version):
                self._restored.add(entry.write.workspace)
            self._figures.written(entry.write.workspace, asyncio.get_running_loop().time() - entry.since)
            self._end(entry.write, Result.WRITTEN, version, "")
            waiting.end()
        elif entry.given_up:
            waiting.end()
        elif answer.meaning in {Meaning.LATER, Meaning.READ_FIRST}:
            waiting.again(entry)
        elif answer.meaning is Meaning.CAUSE_MAY_PASS and entry.refusals < len(SECOND_CHANCES):
            waiting.park(entry, asyncio.get_running_loop().time() + SECOND_CHANCES[entry.refusals])
        else:
            self._end(entry.write, Result.REFUSED, None, answer.reason)
            waiting.end()

    def _end(self, write: Write, result: Result, version: str | None, reason: str) -> None:
        self._told[write.summary] = _Told(write.version, version, write.workspace)
        self._told.move_to_end(write.summary)
        if len(self._told) > self._remembered:
            self._told.popitem(last=False)
        self._written += result is Result.WRITTEN
        self._refused += result is Result.REFUSED
        if result is Result.REFUSED:
            self._figures.refused(write.workspace, reason)
        at = to_micros(self._now())
        self._outcomes.append(Outcome(write.summary, write.version, result, version, reason, at))


def _went_back(known: str | None, version: str | None) -> bool:
    """Whether ``version`` of an object is older than the one ``known`` before: numbers of any length."""
    if not (known and version and known.isdecimal() and version.isdecimal()):
        return False
    return (len(version), version) < (len(known), known)
