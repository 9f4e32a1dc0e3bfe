"""The verbs of the pipeline, one a file: pure functions of lazy frames.

No stage reads a clock, a file or a setting; none collects; the result depends neither on the order of the
rows nor on where a batch is cut. :mod:`batcher.pipeline` puts them in order.
"""
