"""Every verdict, kind, end and refusal that there is has an answer: a new one without fails here."""

from datetime import UTC, datetime

import pytest

from batcher.publish.answers import Meaning
from batcher.publish.targets import NOT_ALLOWED, NOT_BOUND
from batcher.stages.expire import EXPIRED
from batcher.telemetry import SummaryKind, Verdict
from batcher.why.meanings import ENDINGS, KINDS, REFUSALS, VERDICTS, Because, Counted, Ending, Facts, answer
from batcher.why.shown import _STATES
from tests.publish.test_answers import MEANINGS

AT = datetime(2026, 11, 23, 16, 0, tzinfo=UTC)


def counted(ending: Ending, *, kind: SummaryKind = SummaryKind.PLAIN, refusal: str = "") -> Counted:
    return Counted(
        summary="ab" * 16, kind=kind, ending=ending, workspace="root:shop", namespace="web", event="us-west1-web.1",
        about="pod/web", reason="BackOff", occurrences=3, began_at=AT, last_at=AT, refusal=refusal, writes=1,
        written_at=AT, waits_until=AT,
    )  # fmt: skip


@pytest.mark.parametrize("verdict", Verdict)
@pytest.mark.parametrize("ending", Ending)
@pytest.mark.parametrize("kind", SummaryKind)
def test_every_verdict_kind_and_end_has_an_answer_and_something_to_do(
    verdict: Verdict, ending: Ending, kind: SummaryKind
) -> None:
    facts = Facts(verdict, rule="r", namespace="web", cluster="us", counted=(counted(ending, kind=kind),), now=AT)
    found = answer(facts)
    assert found.text.endswith(".")
    assert found.to_do
    assert "\n" not in found.text + found.to_do


def test_the_tables_have_exactly_what_there_is() -> None:
    assert set(VERDICTS) == set(Verdict)
    assert set(KINDS) == set(SummaryKind)
    assert set(ENDINGS) == set(_STATES) == set(Ending)
    assert {ending.value for ending in Ending} <= {because.value for because in Because}


REASONS = {
    EXPIRED, NOT_ALLOWED.reason, NOT_BOUND.reason, "NoAddress", "BodyTooLarge",
    *(each.reason for each in MEANINGS.values() if each.meaning in {Meaning.NEVER, Meaning.CAUSE_MAY_PASS}),
}  # fmt: skip


@pytest.mark.parametrize("reason", sorted(REASONS))
def test_every_reason_of_a_dead_letter_says_what_it_means_and_how_to_go_on(reason: str) -> None:
    assert reason in REFUSALS
    found = answer(Facts(Verdict.KEPT, counted=(counted(Ending.DEAD_LETTERED, refusal=reason),), now=AT))
    assert found.because is Because.DEAD_LETTERED
    assert f"did not take it ({reason}: {REFUSALS[reason].what})." in found.text
    assert found.to_do == f"{REFUSALS[reason].to_do}; then: batcher failed retry {'ab' * 16}"


def test_a_reason_that_nobody_knows_is_told_as_it_came() -> None:
    found = answer(Facts(Verdict.KEPT, counted=(counted(Ending.DEAD_LETTERED, refusal="HTTP418"),), now=AT))
    assert "did not take it (HTTP418)." in found.text
    assert found.to_do.startswith(f"look at it: batcher failed show {'ab' * 16}; then: batcher failed retry ")


def test_where_it_is_mapped_is_the_answer_before_where_a_route_tells_it_too() -> None:
    mapped = counted(Ending.DEAD_LETTERED, refusal="Forbidden")
    elsewhere = Counted(**{name: getattr(mapped, name) for name in mapped.__struct_fields__} | {
        "elsewhere": True, "ending": Ending.PUBLISHED, "refusal": ""})  # fmt: skip
    assert answer(Facts(Verdict.KEPT, counted=(elsewhere, mapped), now=AT)).because is Because.DEAD_LETTERED
