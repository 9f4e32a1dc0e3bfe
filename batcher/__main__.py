"""Arguments to a command, and a command's errors to one line and an exit code.

0: done. 1: it failed, or a check did not hold. 2: the call or the configuration is wrong. 130: interrupted.
No traceback reaches a user: what is raised on purpose is a :class:`batcher.errors.BatcherError`.
"""

import os
import sys
from typing import NoReturn

from batcher.errors import BatcherError
from batcher.text import safe


def main() -> None:
    """Run the command line and exit."""
    from batcher.cli import app  # noqa: PLC0415  an import error of a broken install is a one-line error too

    try:
        app(prog_name=_called(sys.argv[0]))
    except BatcherError as error:
        _end(error)
    except BaseExceptionGroup as group:
        meant = group.subgroup(BatcherError)
        if meant is None:
            raise
        _end(_first(meant))
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        # The reader (head, less) has seen enough; what is still buffered goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    except OSError as error:
        _end(BatcherError(f"{error.filename or 'batcher'}: {error.strerror or error}"))


def _called(program: str) -> str:
    """How the user called this: kubectl runs ``kubectl-batcher`` for ``kubectl batcher``."""
    return "kubectl batcher" if os.path.basename(program).startswith("kubectl-batcher") else "batcher"  # noqa: PTH119


def _first(error: BaseException) -> BatcherError:
    """The first error of a group, however deep: tasks end together, for one reason."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error if isinstance(error, BatcherError) else BatcherError(str(error))


def _end(error: BatcherError) -> NoReturn:
    for line in str(error).splitlines():
        print(safe(line) if not line.startswith(" ") else f"  {safe(line)}", file=sys.stderr)  # noqa: T201
    sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
