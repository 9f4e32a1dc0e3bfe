"""``batcher rules``: what the rules of the filter did, and what one would do."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from batcher.cli.options import Config, DataDir, ListOutput, data_directory, print_document

if TYPE_CHECKING:
    from batcher.pipeline import Rules
    from batcher.stages.filter import FilterRule

app = typer.Typer(
    help="What the rules of the filter did, and what one would do.",
    no_args_is_help=True,
)


@app.command("list")
def list_rules(
    config: Config = None,
    data_dir: DataDir = None,
    since: Annotated[str, typer.Option(help="Hits of the last 1h, 7d ...; else of all time.")] = "",
    no_headers: Annotated[bool, typer.Option("--no-headers", help="Leave the header line out.")] = False,
    output: ListOutput = "text",
) -> None:
    """List the rules of the filter as they are asked: hits, share of the rows, last hit, and its message.

    The note names rules that never fire, and those that stand behind another that takes all they are for. Rules are
    those of the newest batch, or of --config.
    """
    from batcher import clock
    from batcher.rules import HEADERS, NUMBERS, WIDE_HEADERS, cells, in_use, listed
    from batcher.settings import duration_flag
    from batcher.text import table

    now = clock.now()
    directory = data_directory(config, data_dir)
    rules = _configured(config) or in_use(directory)
    begin = now - duration_flag("--since", since) if since else None
    found = listed(directory, rules, since=begin)
    if output in {"json", "yaml"}:
        print_document(found, output)
    elif not found:
        print("The filter has no rules.", file=sys.stderr)
    else:
        wide = output == "wide"
        headers = WIDE_HEADERS if wide else HEADERS
        numbers = {column for column, header in enumerate(headers) if header in NUMBERS}
        print("\n".join(table([] if no_headers else headers, cells(found, now=now, wide=wide), numbers=numbers)))


@app.command("test")
def try_rule(
    rule: Annotated[str, typer.Argument(metavar="RULE", help="Its name, a file that has it, or itself in YAML.")],
    config: Config = None,
    data_dir: DataDir = None,
    since: Annotated[str, typer.Option(help="Rows received in the last 30m, 24h, 7d ...")] = "24h",
    top: Annotated[int, typer.Option(min=0, help="How many reasons, namespaces and clusters to show.")] = 10,
    samples: Annotated[int, typer.Option(min=0, max=1000, help="How many of the newest matches to show.")] = 5,
    output: ListOutput = "text",
) -> None:
    """Try a rule on the archive, and on rows that are not in it yet: what it matches, and what it would drop.

    Changes nothing. Exit 2 if RULE is none.
    """
    from batcher import clock
    from batcher.rules import in_use, told, tried
    from batcher.settings import duration_flag

    directory = data_directory(config, data_dir)
    begin = clock.now() - duration_flag("--since", since)
    rules = _configured(config) or in_use(directory)
    chosen = _rule(rule, rules, config)
    found = tried(directory, chosen, critical=rules.critical, since=begin, top=top, samples=samples)
    if output in {"json", "yaml"}:
        print_document(found, output)
    else:
        print("\n".join(told(found, period=since)))


def _configured(config: Path | None) -> "Rules | None":
    if config is None:
        return None
    from batcher import settings
    from batcher.service.wiring import rules_of

    return rules_of(settings.find_clusters(settings.load(config, os.environ)))


def _rule(text: str, rules: "Rules", config: Path | None) -> "FilterRule":
    named = {rule.name: rule for rule in rules.filter.rules}
    if text in named:
        return named[text]
    from batcher import settings
    from batcher.rules import rule_document
    from batcher.service.wiring import filter_rule

    said = settings.validate_rule(rule_document(text), "RULE")
    if config is not None:
        return filter_rule(said, settings.find_clusters(settings.load(config, os.environ)).clusters)
    if said.match.labels:
        from batcher.errors import UsageError

        message = "RULE: match.labels: what labels clusters have is in the configuration; give --config"
        raise UsageError(message)
    return filter_rule(said, [settings.Cluster(name=name, inCluster=True) for name in rules.event_ttls])
