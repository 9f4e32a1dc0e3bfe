"""The batch protocol: plan, run, stage, commit, recover.

A plan is everything a batch depends on, durable before the batch runs; a commit is everything it did,
durable before anybody sees it. Between the two lies the pure pipeline, so a crash anywhere is answered by
running the plan again. The state is a snapshot and the changes committed since, never a re-run: an upgrade
in between must not rewrite history. Nothing here talks to a network.
"""

from batcher.batch.directory import DataDirectory
from batcher.batch.process import Batches, Retry, Work
from batcher.batch.records import Commit, KnownRecord, OutcomeRecord, Plan

__all__ = ["Batches", "Commit", "DataDirectory", "KnownRecord", "OutcomeRecord", "Plan", "Retry", "Work"]
