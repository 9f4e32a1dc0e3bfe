"""The table of causal rules: one way, each reason known, and what a user may add to it."""

from datetime import timedelta

import pytest

from batcher.causes import ABOUT, BUILT_IN, LONGEST_LAG, MOST_STEPS, CauseRule, Side, problems, reasons, steps


def rule(name: str, cause: Side, effect: Side) -> CauseRule:
    return CauseRule(name, cause, effect, "object")


def of(*names: str, kind: str = "", about: str = "") -> Side:
    return Side(names, (kind,) if kind else (), about)


def test_the_built_in_rules_have_names_of_their_own_and_lead_one_way() -> None:
    assert list(problems([])) == []
    assert len({each.name for each in BUILT_IN}) == len(BUILT_IN) == 37
    assert max(steps(BUILT_IN)) == 9 < MOST_STEPS


def test_no_built_in_rule_is_surer_than_it_can_be_or_reaches_farther_back_than_is_remembered() -> None:
    assert all(0 < each.weight < 1 for each in BUILT_IN)
    assert all(timedelta(0) < each.largest_lag <= LONGEST_LAG for each in BUILT_IN)


def test_what_a_side_is_about_is_something_that_its_reasons_can_be_about() -> None:
    for side in (side for each in BUILT_IN for side in (each.cause, each.effect) if side.about):
        meant = {reason for meaning in ABOUT if meaning.about == side.about for reason in meaning.reasons}
        assert set(side.reasons) <= meant, side


@pytest.mark.parametrize(
    ("mine", "wrong"),
    [
        ([rule("creating", of("A"), of("B"))], "creating: there is a rule of that name already"),
        ([rule("one", of("A"), of("A"))], "one: leads back to its own cause, alone or with rules that follow it"),
        ([rule("back", of("BackOff"), of("NodeNotReady"))], "back: leads back to its own cause"),
        (
            [
                rule(each, of(each), of(following))
                for each, following in zip("abcde", [*"bcde", "ImageGCFailed"], strict=True)
            ],
            "a: begins a chain of 14 steps, at most 12",
        ),
    ],
)
def test_a_rule_of_the_configuration_that_cannot_be_is_told(mine: list[CauseRule], wrong: str) -> None:
    assert any(problem.startswith(wrong) for problem in problems(mine))


def test_a_reason_of_one_kind_may_lead_to_the_same_reason_of_another() -> None:
    assert list(problems([rule("mine", of("A", kind="Node"), of("A", kind="Pod"))])) == []
    assert list(problems([rule("mine", of("A", about="up"), of("A", about="down"))])) == []
    assert len(list(problems([rule("mine", of("A", kind="Node"), of("A"))]))) == 1


def test_the_steps_of_rules_that_go_round_never_end() -> None:
    a, b, c = (rule(name, of(one), of(two)) for name, one, two in (("a", "A", "B"), ("b", "B", "A"), ("c", "X", "A")))
    assert steps([a, b, c]) == [0, 0, 0]
    assert steps([a, c]) == [1, 2]


def test_every_reason_of_the_rules_is_looked_for() -> None:
    assert reasons([rule("mine", of("A", "B"), of("C"))]) == {"A", "B", "C"}
