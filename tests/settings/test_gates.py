import pytest

from batcher.settings import Gate, gates_shown
from batcher.settings.gates import GATES, GateInfo, is_on, problem
from tests.settings.files import problems, valid

TABLE = {
    "New": GateInfo("Alpha", default=False, meaning="Tried out."),
    "Tried": GateInfo("Beta", default=True, meaning="Can be turned off."),
    "Kept": GateInfo("GA", default=True, meaning="On for ever."),
}


def test_every_gate_that_the_code_can_ask_for_is_in_the_table_and_no_other() -> None:
    assert set(GATES) == {gate.value for gate in Gate}


@pytest.mark.parametrize("info", GATES.values(), ids=list(GATES))
def test_alpha_is_off_by_default_and_all_else_is_on(info: GateInfo) -> None:
    assert info.default == (info.stage != "Alpha")


def test_a_gate_is_what_is_said_and_otherwise_its_default() -> None:
    assert [is_on(name, {}, TABLE) for name in TABLE] == [False, True, True]
    assert [is_on(name, {"New": True, "Tried": False}, TABLE) for name in TABLE] == [True, False, True]


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("New", True, ""),
        ("Tried", False, ""),
        ("Kept", True, ""),
        ("Kept", False, "Kept: is GA, and can no longer be turned off"),
        ("new", True, "new: unknown feature gate; known: Kept, New, Tried"),
    ],
)
def test_an_unknown_gate_names_those_known_and_one_that_is_ga_is_locked(name: str, value: bool, told: str) -> None:  # noqa: FBT001  a parameter of the case
    assert problem(name, value=value, gates=TABLE) == told


def test_without_any_gate_an_unknown_one_is_told_so() -> None:
    assert problem("New", value=True, gates={}) == "New: unknown feature gate; known: none"


def test_the_file_sets_gates_and_every_wrong_one_is_told() -> None:
    assert valid().enabled(Gate.AUTOMATIC_RESYNC)
    assert not valid(featureGates={"AutomaticResync": False}).enabled(Gate.AUTOMATIC_RESYNC)
    (told,) = problems(featureGates={"Foo": True, "Bar": False})
    assert told.split("; ") == [
        "featureGates: Foo: unknown feature gate", "known: AutomaticResync",
        "Bar: unknown feature gate", "known: AutomaticResync",
    ]  # fmt: skip
    assert problems(featureGates={"AutomaticResync": "on"}) == [
        "featureGates.AutomaticResync: Input should be a valid boolean"
    ]


def test_what_is_open_is_shown_with_its_stage() -> None:
    assert gates_shown({"AutomaticResync": False}) == ["AutomaticResync=false (Beta)"]
