"""The command line: one file a command, and no logic in any of them.

A command imports what it needs when it runs, so that help and errors come at once.
"""

import typer

from batcher.cli.archive import app as archive_app
from batcher.cli.check import check
from batcher.cli.config import app as config_app
from batcher.cli.debug import app as debug_app
from batcher.cli.demo import demo
from batcher.cli.events import events
from batcher.cli.failed import app as failed_app
from batcher.cli.incidents import app as incidents_app
from batcher.cli.mapping import app as mapping_app
from batcher.cli.resync import resync
from batcher.cli.rules import app as rules_app
from batcher.cli.run import run
from batcher.cli.sql import sql
from batcher.cli.status import status
from batcher.cli.verify import verify
from batcher.cli.why import why

app = typer.Typer(
    name="batcher",
    help="Watch the Events of many Kubernetes clusters; count them exactly; sum them up in kcp workspaces.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("run")(run)
app.command("demo")(demo)
app.command("check")(check)
app.command("status")(status)
app.command("events")(events)
app.command("why")(why)
app.command("sql")(sql)
app.command("verify")(verify)
app.command("resync")(resync)
app.add_typer(incidents_app, name="incidents")
app.add_typer(mapping_app, name="mapping")
app.add_typer(archive_app, name="archive")
app.add_typer(config_app, name="config")
app.add_typer(failed_app, name="failed")
app.add_typer(rules_app, name="rules")
app.add_typer(debug_app, name="debug")
