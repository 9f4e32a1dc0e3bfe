"""The archive in SQL: a locked DuckDB, in a process of its own, that can read the tables and nothing else.

What somebody asks is run by :mod:`.child`, which has no environment, may write no file and gets no more memory than it
is given; it is killed when its time is over. DuckDB's own limits do not suffice: text that functions make is not
counted in its ``memory_limit``, and one long call of a function hears no interrupt. :mod:`.asked` is the other end.

Nothing is imported here: the child loads this package, and needs little more than DuckDB.
"""
