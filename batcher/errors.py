"""Errors, named by what the caller should do.

Bad rows are data and never raised (see :mod:`batcher.decode`); these are for bad worlds. Nothing here
formats a traceback: :mod:`batcher.__main__` prints the message and exits with ``exit_code``.
"""


class BatcherError(Exception):
    """The root: a message that a user can act on, and the exit code of a command that ends with it."""

    exit_code = 1


class ConfigError(BatcherError):
    """The configuration is wrong: the user edits it. Holds every problem found, each with its path."""

    exit_code = 2

    def __init__(self, problems: list[str], source: str = "configuration") -> None:
        """Keep ``problems`` (``"path: what is wrong"``), found in ``source``."""
        self.problems = problems
        self.source = source
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        super().__init__("\n".join([f"{source}: {count}", *(f"  {problem}" for problem in problems)]))


class UsageError(BatcherError):
    """The command cannot do this here: the user calls it otherwise."""

    exit_code = 2


class Expired(BatcherError):  # noqa: N818  named by the answer it stands for, as upstream names it
    """The resourceVersion is too old or the stream cannot be continued: list again."""


class Unavailable(BatcherError):  # noqa: N818  named by what is the case
    """The other side cannot answer now: try again later, not before ``retry_after`` seconds if given."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        """Keep the server's own word on when to come back, in seconds."""
        self.retry_after = retry_after
        super().__init__(message)


class Absent(Unavailable):
    """What is asked for is not served there (404): if it need not be, report it and look again now and then."""


class Unauthorized(BatcherError):  # noqa: N818  named by the answer it stands for
    """The credential was refused (401): reload it once, then back off."""


class Forbidden(BatcherError):  # noqa: N818  named by the answer it stands for
    """The credential is known and not allowed (403): report it and retry slowly."""


class Rejected(BatcherError):  # noqa: N818  named by what happened to the request
    """The other side will never accept this: count it, keep it as a dead letter, go on."""


class CorruptStream(BatcherError):  # noqa: N818  named by what was found
    """A line is not JSON or has no resourceVersion: keep its bytes in quarantine and list again."""


class Replaced(BatcherError):  # noqa: N818  named by what happened to the cluster
    """Another cluster answers at this address: ask who it is, and begin with that one."""


class Restored(BatcherError):  # noqa: N818  named by what happened to the cluster
    """The cluster's versions went backwards (its etcd was restored): begin a new incarnation of the stream."""


class DataDirError(BatcherError):
    """The data directory cannot be used as it is: locked, of another format, damaged, or full."""


class InUse(DataDirError):  # noqa: N818  named by what is the case
    """Another process has the data directory: it does what this one would have done, or ends."""


class LeaseLost(BatcherError):  # noqa: N818  named by what happened
    """Another process leads, or may do so: end, and begin again as one who waits."""


class ArchiveError(BatcherError):
    """The archive cannot be used as it is: foreign owner, unreadable, or away."""
