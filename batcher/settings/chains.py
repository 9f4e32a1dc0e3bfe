"""What leads to what, beside what is built in."""

from datetime import timedelta
from typing import Annotated, Self

from pydantic import Field, model_validator

from batcher.causes import LONGEST_LAG, CauseRule, Join, Side, problems
from batcher.settings.values import ClusterName, Duration, Model

Reasons = Annotated[list[Annotated[str, Field(min_length=1)]], Field(min_length=1)]


class ChainRule(Model):
    """Reasons that likely lead to others on the same thing, within a time."""

    name: ClusterName
    """Of its own, also among the built-in rules."""
    cause: Reasons
    """Reasons of Events that lead to it, of any kind of object."""
    effect: Reasons
    """Reasons of Events that follow. No rule may lead back to its own cause, alone or with others."""
    join: Join
    """What both have in common, in one cluster: the object, its workload by name, the node that it runs on, a volume or
    an image that messages name, the namespace, or that one refers to the other."""
    largest_lag: Duration = Field(default=timedelta(minutes=5), le=LONGEST_LAG)
    """From the cause to its effect, at most 10m: what may be a cause is remembered for two and a half of that."""
    weight: float = Field(default=0.8, gt=0, le=1, allow_inf_nan=False)
    """How sure it is when the effect follows at once, up to 1; of several rules the surest decides."""

    @property
    def rule(self) -> CauseRule:
        """The rule as stages know it."""
        return CauseRule(
            self.name, Side(tuple(self.cause)), Side(tuple(self.effect)), self.join, self.largest_lag, self.weight
        )


class Chains(Model):
    """What leads to what, beside the built-in rules."""

    rules: list[ChainRule] = []
    """Causal rules; they hold for what is received from then on."""

    @model_validator(mode="after")
    def _lead_one_way(self) -> Self:
        wrong = list(problems([each.rule for each in self.rules]))
        if wrong:
            message = f"rules: {'; '.join(wrong)}"
            raise ValueError(message)
        return self
