"""A disk that forgets what was not synced, names included: SIGKILL alone would keep the page cache.

:class:`Recorder` stands under :mod:`batcher.disk`, lets everything happen, and writes down what did. From the first
k steps :func:`after_power_cut` builds a disk as it may be found if power fails there: a file's bytes and a directory's
names since their last sync are there or not, in any combination, and a write may be torn. A rename is one step, as
journalling file systems have it. Names within a directory may survive in another order than they were made in.
"""

import contextlib
import errno
import os
import random
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

from batcher import disk


class Kind(StrEnum):
    """What a step does."""

    LINK = "link"
    """A name for a new file or directory."""
    RENAME = "rename"
    UNLINK = "unlink"
    WRITE = "write"
    TRUNCATE = "truncate"
    SYNC = "sync"
    """Of a file or of a directory's names."""
    MARK = "mark"
    """Nothing on disk: the moment from which on something is promised."""


class Step(NamedTuple):
    """One change; ``node`` is what is changed, a file or a directory, by number."""

    kind: Kind
    node: int
    path: Path
    """The name by which it was changed, relative to the volume."""
    name: str = ""
    target: int = 0
    """Of a link or rename: what ``name`` names from now on."""
    old: str = ""
    offset: int = 0
    data: bytes = b""
    directory: bool = False
    """Of a link: what is made."""
    by: str = ""
    """Of a sync: the function that asked for it, after the one of :mod:`batcher.disk` that did it. Of what came
    without us: :data:`FOREIGN`."""


ROOT = 0
FOREIGN = "foreign"


@dataclass
class Recorder(disk.System):
    """The volume at ``root``, which exists and is durable; and all that happens to it."""

    root: Path
    steps: list[Step] = field(default_factory=list)
    dies_at: int = -1
    """Raise :class:`Killed` instead of the step of this number."""
    refused: dict[int, int] = field(default_factory=dict)
    """Steps, by number, that the system refuses, once each, with this errno; of a write it takes half."""
    read_only: bool = False
    """Whether every step is refused."""
    _nodes: dict[Path, int] = field(default_factory=lambda: {Path(): ROOT})
    _contents: dict[Path, bytes] = field(default_factory=dict)
    _open: dict[int, Path] = field(default_factory=dict)
    _next: int = 1

    def mark(self, what: str) -> None:
        """Note that ``what`` is promised from now on."""
        self.steps.append(Step(Kind.MARK, ROOT, Path(), what))

    def open(self, path: Path, flags: int) -> int:  # type: ignore[explicit-override]  # typing.override came with 3.12
        """Note a name that is new, and what is cut off."""
        own = self._own(path)
        fresh = bool(flags & os.O_CREAT) and not path.exists()
        if fresh:
            self._note(Kind.LINK, own.parent, name=own.name, target=self._next)
            self._make(own)
        elif flags & os.O_TRUNC:
            self._note(Kind.TRUNCATE, own)
            self._contents[own] = b""
        descriptor = super().open(path, flags)
        self._open[descriptor] = own
        return descriptor

    def write(self, descriptor: int, data: memoryview) -> int:  # type: ignore[explicit-override]  # as above
        """Note what is written; everything is written at the end."""
        own = self._open[descriptor]
        refused = self.refused.pop(len(self.steps), 0)
        taken = data[: len(data) // 2] if refused else data
        self._note(Kind.WRITE, own, offset=len(self._contents[own]), data=bytes(taken))
        super().write(descriptor, taken)
        self._contents[own] += bytes(taken)
        if refused:
            raise OSError(refused, os.strerror(refused))
        return len(taken)

    def truncate(self, descriptor: int, size: int) -> None:  # type: ignore[explicit-override]  # as above
        """Note a file's new size."""
        own = self._open[descriptor]
        self._note(Kind.TRUNCATE, own, offset=size)
        super().truncate(descriptor, size)
        self._contents[own] = self._contents[own][:size]

    def sync(self, descriptor: int) -> None:  # type: ignore[explicit-override]  # as above
        """Note that what was changed is kept."""
        self._note(Kind.SYNC, self._open[descriptor], by=_callers())

    def sync_data(self, descriptor: int) -> None:  # type: ignore[explicit-override]  # as above
        """Note that what was written is kept."""
        self._note(Kind.SYNC, self._open[descriptor], by=_callers())

    def close(self, descriptor: int) -> None:  # type: ignore[explicit-override]  # as above
        """Forget a descriptor."""
        self._open.pop(descriptor)
        super().close(descriptor)

    def rename(self, source: Path, target: Path) -> None:  # type: ignore[explicit-override]  # as above
        """Note which file a name is for now."""
        old, new = self._own(source), self._own(target)
        self._note(Kind.RENAME, new.parent, name=new.name, old=old.name, target=self._nodes[old])
        super().rename(source, target)
        self._nodes[new], self._contents[new] = self._nodes.pop(old), self._contents.pop(old)

    def unlink(self, path: Path) -> None:  # type: ignore[explicit-override]  # as above
        """Note that a name is gone."""
        self._remove(path)
        super().unlink(path)

    def make(self, path: Path) -> None:  # type: ignore[explicit-override]  # as above
        """Note a new directory."""
        own = self._own(path)
        if not path.exists():
            self._note(Kind.LINK, own.parent, name=own.name, target=self._next, directory=True)
            self._make(own, directory=True)
        super().make(path)

    def unmake(self, path: Path) -> None:  # type: ignore[explicit-override]  # as above
        """Note that a directory is gone."""
        self._remove(path)
        super().unmake(path)

    def _remove(self, path: Path) -> None:
        own = self._own(path)
        if not path.exists():
            return
        self._note(Kind.UNLINK, own.parent, name=own.name)
        self._nodes.pop(own)
        self._contents.pop(own, None)

    def _own(self, path: Path) -> Path:
        self.notice_others()
        return path.relative_to(self.root)

    def _make(self, own: Path, *, directory: bool = False) -> None:
        self._nodes[own] = self._next
        self._next += 1
        if not directory:
            self._contents[own] = b""

    def _note(self, kind: Kind, own: Path, **more: object) -> None:
        if len(self.steps) == self.dies_at:
            raise Killed
        if refused := self.refused.pop(len(self.steps), errno.EROFS if self.read_only else 0):
            raise OSError(refused, os.strerror(refused))
        self.steps.append(Step(kind, self._nodes[own], own, **more))  # type: ignore[arg-type]  # as Step has them

    def notice_others(self) -> None:
        """Note what came into the archive without us, and unsynced: deltalake writes as it likes."""
        self._notice(Path("archive"))
        for table in _names(self.root, Path("archive")):
            self._notice(table)
            for log in _names(self.root, table / "_delta_log"):
                self._notice(log.parent)
                self._notice(log)

    def _notice(self, own: Path) -> None:
        path = self.root / own
        if own in self._nodes or not path.exists():
            return
        link = Step(Kind.LINK, self._nodes[own.parent], own.parent, own.name, self._next, directory=path.is_dir())
        self.steps.append(link._replace(by=FOREIGN))
        self._make(own, directory=path.is_dir())
        if path.is_file():
            self._contents[own] = path.read_bytes()
            self.steps.append(Step(Kind.WRITE, self._nodes[own], own, data=self._contents[own], by=FOREIGN))


def _names(root: Path, own: Path) -> list[Path]:
    """Return what is in a directory, if it is one."""
    try:
        return [own / name for name in sorted(path.name for path in (root / own).iterdir())]
    except (FileNotFoundError, NotADirectoryError):
        return []


def _callers() -> str:
    """Name the function of disk that is asked from outside, who asks, and whom that one serves."""
    frame = sys._getframe()
    inside = ""
    while frame.f_code.co_filename in {__file__, disk.__file__, contextlib.__file__}:
        inside = frame.f_code.co_qualname
        assert frame.f_back
        frame = frame.f_back
    assert frame.f_back
    return f"{inside} < {frame.f_code.co_qualname} < {frame.f_back.f_code.co_qualname}"


class Killed(BaseException):
    """The process is killed here; nobody catches it."""


@dataclass
class _Node:
    """What of a file or directory is durable, and what has happened to it since."""

    data: bytes = b""
    names: dict[str, int] = field(default_factory=dict)
    since: list[Step] = field(default_factory=list)

    def apply(self, step: Step) -> None:
        """Let ``step`` have happened durably."""
        if step.kind is Kind.WRITE:
            self.data = self.data[: step.offset].ljust(step.offset, b"\0") + step.data
        elif step.kind is Kind.TRUNCATE:
            self.data = self.data[: step.offset]
        elif step.kind is Kind.UNLINK:
            self.names.pop(step.name, None)
        else:
            self.names.pop(step.old, None)
            self.names[step.name] = step.target


class Luck(StrEnum):
    """What survives of what was not synced."""

    NOTHING = "nothing"
    EVERYTHING = "everything"
    """As after SIGKILL: the kernel goes on."""
    NAMES = "names"
    """Names, and no bytes: files are there, and empty."""
    REMOVALS = "removals"
    """What was removed is gone; what was made is not there."""
    RANDOM = "random"


def after_power_cut(steps: Sequence[Step], luck: Luck, seed: int = 0) -> dict[Path, bytes | None]:
    """Return the files (None: directories) that may be found after ``steps``."""
    nodes: dict[int, _Node] = {ROOT: _Node()}
    for step in steps:
        node = nodes.setdefault(step.node, _Node())
        if step.kind is Kind.SYNC:
            for happened in node.since:
                node.apply(happened)
            node.since.clear()
        elif step.kind is not Kind.MARK:
            node.since.append(step)
    rng = random.Random(seed)  # noqa: S311  luck, not a secret
    directories = {step.target for step in steps if step.directory}
    for node in nodes.values():
        for step in node.since:
            _survive(node, step, luck, rng)
    return dict(_tree(nodes, Path(), ROOT, directories))


def _survive(node: _Node, step: Step, luck: Luck, rng: random.Random) -> None:
    of_names = step.kind in {Kind.LINK, Kind.RENAME, Kind.UNLINK}
    survives = {
        Luck.NOTHING: False,
        Luck.EVERYTHING: True,
        Luck.NAMES: of_names,
        Luck.REMOVALS: step.kind is Kind.UNLINK,
        Luck.RANDOM: rng.random() < 0.5,
    }[luck]
    if survives and luck is Luck.RANDOM and step.kind is Kind.WRITE:
        step = step._replace(data=step.data[: rng.randrange(len(step.data) + 1)])
    if survives:
        node.apply(step)


def _tree(
    nodes: dict[int, _Node], path: Path, number: int, directories: set[int]
) -> Iterator[tuple[Path, bytes | None]]:
    for name, target in nodes[number].names.items():
        node = nodes.get(target, _Node())
        yield path / name, None if target in directories else node.data
        if target in nodes:
            yield from _tree(nodes, path / name, target, directories)


def write_out(found: dict[Path, bytes | None], root: Path) -> None:
    """Make the files and directories that were ``found`` below ``root``, which is new."""
    root.mkdir()
    for path, data in found.items():
        if data is None:
            (root / path).mkdir()
        else:
            (root / path).write_bytes(data)
