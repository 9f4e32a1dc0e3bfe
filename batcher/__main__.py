"""Arguments to a command, and a command's errors to one line and an exit code.

0: done. 1: it failed, or a check did not hold. 2: the call or the configuration is wrong. 130: interrupted.
No traceback reaches a user: what is raised on purpose is a :class:`batcher.errors.BatcherError`.
"""

import os
import sys

from batcher.errors import BatcherError
from batcher.text import safe


def main() -> None:
    """Run the command line and exit."""
    from batcher.cli import app  # noqa: PLC0415  an import error of a broken install is a one-line error too

    try:
        app(prog_name="batcher")
    except BatcherError as error:
        for line in str(error).splitlines():
            print(safe(line) if not line.startswith(" ") else f"  {safe(line)}", file=sys.stderr)  # noqa: T201
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        # The reader (head, less) has seen enough; what is still buffered goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)


if __name__ == "__main__":
    main()
