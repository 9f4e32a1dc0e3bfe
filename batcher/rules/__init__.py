"""What the rules of the filter did, and what another would do: the answers of ``batcher rules``.

Changes nothing, and may run beside a service. Rules are those of the newest plan or of a configuration, judged by the
stages that batches run. Texts of Events are made safe where they are printed.
"""

from batcher.rules.listed import HEADERS, NUMBERS, WIDE_HEADERS, RuleLine, cells, in_use, listed
from batcher.rules.trial import Trial, rule_document, told, tried

__all__ = [
    "HEADERS", "NUMBERS", "WIDE_HEADERS", "RuleLine", "Trial", "cells", "in_use", "listed", "rule_document", "told",
    "tried",
]  # fmt: skip
