"""What was found as the command shows it."""

from collections.abc import Iterable

from batcher.check.findings import Finding

HEADERS = ("RESULT", "OF", "CHECK", "DETAIL")
WIDE_HEADERS = ("RESULT", "KIND", "NAME", "CHECK", "DETAIL", "TO DO")
NONE = "-"


def rows(findings: Iterable[Finding], *, wide: bool) -> list[tuple[str, ...]]:
    """Return the cells of :data:`HEADERS`, or of :data:`WIDE_HEADERS`."""
    return [_wide(each) if wide else _narrow(each) for each in findings]


def _narrow(each: Finding) -> tuple[str, ...]:
    detail = f"{each.detail}; to do: {each.remedy}" if each.remedy else each.detail
    return each.result.value, f"{each.kind} {each.name}", each.check, detail


def _wide(each: Finding) -> tuple[str, ...]:
    return each.result.value, each.kind, each.name, each.check, each.detail, each.remedy or NONE
