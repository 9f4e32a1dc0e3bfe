"""What to send with a bug report: how batcher is set up and how it goes, without secrets and without what Events say.

Each member is made of what is known to be harmless (numbers, names, causes), not of everything with the harm cut out;
only then is what is known to be secret taken out once more (:mod:`.secrets`), in case it got in where nobody thought
of it. Texts of Events are in it only if asked for. Nothing here changes or sends anything.

    collect        every member         configuration  the settings, without free texts
    secrets        what is taken out    lines          what is left of a line of the log
    pack           one file of it
"""

from batcher.bundle.collect import Asked, collect
from batcher.bundle.pack import pack

__all__ = ["Asked", "collect", "pack"]
