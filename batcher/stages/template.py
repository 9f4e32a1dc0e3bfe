"""Messages to what they have in common: what differs from one occurrence to the next becomes a placeholder.

A message says the same thing with another uid, Pod, address, number or time in it. Its template is part of the key of
a summary, so that what means something else is a line of its own. Kept as they are: images with their tag or digest,
codes (exit, status, signal), names of volumes, ports and objects. Templates are keys: their text is stable for ever,
and nobody is shown one in place of a message. They are in the archive, so they are made of what may be archived.

Forms: the kubelet's ``format.Pod`` and probe results, the scheduler's ``0/N nodes are available``, Go's
``time.Duration`` and ``net.OpError``, ``resource.Quantity``, ``rand.SafeEncodeString`` (names of Pods and ReplicaSets).
"""

from collections.abc import Sequence

import polars as pl

from batcher.redact import Redaction, redacted
from batcher.stages.generated import SAFE
from batcher.stages.once import once
from batcher.telemetry import SummaryKind

LONGEST = 1024
"""Characters of a message that take part: what kcp takes of one; longer ones differ in stack traces, not in meaning."""

_BEFORE = r"(^|[\s\"'`(\[=<>,/~])"
_RANDOM = "|".join(f"{SAFE}{{{at}}}[2-9]{SAFE}{{{4 - at}}}" for at in range(5))
"""Five characters of which one is a digit, so that no word is taken for them: five of six random suffixes."""
_HEX4 = "[0-9a-fA-F]{4}"
_UNIT = r"(?:%|[a-zA-Zµ]{1,3}(?:\d+(?:\.\d+)?[a-zµ]{1,2})*\b|\b)"
_CODE = (
    r"(?:[Ss]tatus ?[Cc]ode:?|[Ee]xit (?:code|status):?|[Ee]xitCode:?|code[:=]?|code =|HTTP|status:?|signal:?|errno)"
)
_POD = r"\b(?:[Pp]ods?|[Cc]laim)[:/ ]+[\"']?(?:[a-z0-9-]+/)?"
_FORMS = (
    ("<uuid>", rf"[0-9a-fA-F]{{8}}-(?:{_HEX4}-){{3}}[0-9a-fA-F]{{12}}"),
    ("<time>", r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?(?:Z| ?[+-]\d\d:?\d\d)?(?: UTC)?(?: m=[+-][\d.]+)?"),
    ("${1} to <node>", r"^(Successfully assigned \S+) to \S+$"),
    ("${1}<hash>", r"(^|[^@:0-9A-Za-z]|@sha1:)(?:sha256:|sha1:|md5:)?[0-9a-f]{12,64}\b"),
    ("${1}<ip>", rf"{_BEFORE}(?:\d{{1,3}}\.){{3}}\d{{1,3}}(?::\d{{1,5}}|/\d{{1,2}}\b)?"),
    ("<ip>", r"\[?\b[0-9a-fA-F]{1,4}(?::[0-9a-fA-F]{0,4}){2,7}(?:\]:\d{1,5}|\])"),
    ("${1}<path>", r"(^|[\s\"'`(\[=])(?:/[^\s\"'`:,;()\[\]]+){3,}"),
    ("-<n>", r"-\d{7,10}\b"),
    ("-<pod>${1}", rf"-{SAFE}{{6,10}}-{SAFE}{{5}}(\b|_)"),
    ("-<hash>", rf"-{SAFE}{{8,10}}\b"),
    ("${1}-<pod>${2}", rf"({_POD}[a-z0-9][a-z0-9<>.-]*?)-(?:{SAFE}{{5}}|\d+)(\b|_)"),
    ("-<random>${1}", rf"-(?:{_RANDOM})(\b|_)"),
    ("${1}${2}${3}<n>", rf"({_CODE} ?\d+)\b|{_BEFORE}[-+]?\d+(?:[.,]\d+)*{_UNIT}|(:)\d+[kKMG]i?B\b"),
    ("${1}", r"(\d)<n>"),
)  # fmt: skip
"""Placeholder and form, in the order in which they are replaced; the last puts codes back as they were."""


def template(rows: pl.LazyFrame, redactions: Sequence[Redaction] = ()) -> pl.LazyFrame:
    """Give plain rows the ``template`` of their ``message``; order and number of rows stay, and so do others.

    In: ``kind, message, template``. Each message is looked at once, however many rows have it, after ``redactions``.
    """
    is_plain = pl.col("kind") == SummaryKind.PLAIN.value
    plain = rows.with_columns(plain=pl.when(is_plain).then("message"))
    return (
        once(plain, "plain", found=templated(redacted(pl.col("plain"), redactions)))
        .with_columns(template=pl.when(is_plain).then(pl.col("found").fill_null("")).otherwise("template"))
        .drop("plain", "found")
    )


def templated(message: pl.Expr) -> pl.Expr:
    """Return the template of each message, with linear-time expressions only."""
    text = message.str.slice(0, LONGEST)
    for placeholder, form in _FORMS:
        text = text.str.replace_all(form, placeholder)
    return text.str.strip_chars()
