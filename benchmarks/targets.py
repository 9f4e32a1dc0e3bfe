"""What is to be reached on two cores, by the names of the figures: the table shows each beside what was measured."""

from collections.abc import Mapping

TARGETS: Mapping[tuple[str, str, str], float] = {
    ("catching", "1,000,000 events, 64 KiB a chunk", "µs CPU an event"): 18,
    ("catching", "1,000,000 events, 64 KiB a chunk: until all is archived", "s"): 40,
    ("catching", "1,000,000 events, 64 KiB a chunk: peak memory", "MiB"): 500,
    ("catching", "peak memory with 1,000,000 events ÷ with 60,000", "times as much"): 1.2,
    ("catching", "official client ÷ the whole path, CPU an event, 64 KiB a chunk", "times better"): 8,
    ("catching", "official client ÷ the whole path, CPU an event, one line a chunk", "times better"): 8,
    ("watching", "the first ÷ the second, 64 KiB a chunk, run by run", "times better"): 8,
    ("watching", "the first ÷ the second, one line a chunk, run by run", "times better"): 8,
    ("steady", "no events", "% of a core"): 1,
    ("steady", "60,000 events a minute, beyond what idling takes", "µs CPU an event"): 30,
    ("steady", "60,000 events a minute, with publishing", "% of a core"): 5,
    ("steady", "60,000 events a minute: from event to workspace, p99", "s by the timers"): 6,
    ("flat", "cost of an event, 1,000,000 archived ÷ 10,000", "times as much"): 1.2,
    ("flat", "cost of an event, 1,000,000 seen ÷ 1,000", "times as much"): 1.2,
    ("larger", "cost of an event, 10,000,000 archived ÷ 10,000", "times as much"): 1.2,
    ("starting", "batcher run, until the first watch", "s"): 1.5,
    ("starting", "batcher --help", "s"): 0.3,
    ("sparing", "1,000 events a minute for 60 min", "revisions a write"): 20,
    ("stages", "whole pipeline: 1,000,000 rows, 10 each", "s"): 4,
}  # fmt: skip
