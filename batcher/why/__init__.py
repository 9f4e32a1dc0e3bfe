"""Why an Event is told, or is not: "why isn't my event here?", answered from what is on disk.

Every revision has a verdict, every summary an end, and both are closed lists: for each there is a sentence and
something to do. Reads only, as of the last commit, and may be asked while a service runs. Nothing here decides.
"""

from batcher.why.meanings import Because, Ending
from batcher.why.shown import told
from batcher.why.story import Story, story

__all__ = ["Because", "Ending", "Story", "story", "told"]
