"""200 names that want to be more than a name: for a page, a report, a terminal, a spreadsheet."""

from __future__ import annotations

import os
from itertools import product

_SCRIPTS = ("alert(1)", "window.owned=1", "fetch('//evil.example')", "document.body.remove()")
_ELEMENTS = (
    "<script>{}</script>",
    "<img src=x onerror={}>",
    "<svg onload={}>",
    "<svg><script>{}</script></svg>",
    "<iframe srcdoc='<script>parent.{}</script>'>",
    "<body onload={}>",
    "<details open ontoggle={}>",
    "<input autofocus onfocus={}>",
    "<math><mi xlink:href='javascript:{}'>x</mi></math>",
    "<a href='javascript:{}'>x</a>",
    "<style>@import 'javascript:{}'</style>",
    "<marquee onstart={}>",
)
_BREAKOUTS = (
    "</script><script>{}</script>",
    "</title><script>{}</script>",
    "</style><script>{}</script>",
    "--><script>{}</script>",
    "]]><script>{}</script>",
    '" onmouseover="{}" x="',
    "' onmouseover='{}' x='",
    '"><img src=x onerror={}>',
    "`;{};`",
    "\\\");{};//",
)  # fmt: skip
_ADDRESSES = (
    "javascript:alert(1)",
    "JaVaScRiPt:alert(1)",
    "java\tscript:alert(1)",
    "data:text/html,<script>alert(1)</script>",
    "data:image/svg+xml,<svg onload=alert(1)>",
    "vbscript:msgbox(1)",
    "//evil.example/x.js",
    "http://127.0.0.1:1/x",
    "file:///etc/passwd",
    "../../../../etc/passwd",
    "..\\..\\windows\\win.ini",
    "%2e%2e%2fsecret",
    "C:\\Windows\\system.ini",
    "/etc/shadow",
)
_TEMPLATES = (
    "{{ 7 * 7 }}",
    "{% raw %}",
    "${7*7}",
    "#{7*7}",
    "<%= 7*7 %>",
    "{name}",
    "{side:percent}",
    "{0.__class__}",
    "%s%n%x",
    "$& $' $` $1",
    "\\u003cscript\\u003e",
    "&lt;b&gt;",
    "&#60;script&#62;",
    "<![CDATA[x]]>",
    "<!-- whyconv why: begins -->",
    "__proto__",
    "constructor",
    "toString",
    "null",
)
_TERMINAL = (
    "\x1b[31mred",
    "\x1b]0;owned\x07title",
    "\x1b]8;;http://evil.example\x1b\\link\x1b]8;;\x1b\\",
    "\x1b[2J\x1b[Hcleared",
    "\x1b[6nreport",
    "\x1bP1$r0m\x1b\\device",
    "\x1bcreset",
    "\x9b31mC1",
    "\x9d0;owned\x9ctitle",
    "\x90device\x9c",
    "\x07bell",
    "back\x08\x08\x08\x08space",
    "over\rwritten",
    "line\nend",
    "form\x0cfeed",
    "vertical\x0btab",
    "shift\x0eout\x0f",
    "delete\x7f\x7f",
    "\x00nul",
    "nul\x00.jpg",
    "\x1a",
    "[bold]rich[/bold]",
    "[link=http://evil.example]rich[/link]",
    "\u2028line",
    "\u2029paragraph",
)
_DIRECTIONS = (
    "photo\u202egpj.exe",
    "\u202dleft",
    "\u2066\u2067isolate",
    "\u2069end",
    "\u200fmark",
    "\u061carabic",
    "\u202a\u202b\u202c",
    "zero\u200bwidth",
    "\ufeffbom",
    "soft\u00adhyphen",
    "\u2060joiner",
    "tag\U000e0041",
    "אבג",
    "مرحبا",
)
_SHAPES = (
    "👩\u200d👩\u200d👧\u200d👦",
    "🏳\ufe0f\u200d🌈",
    "Z\u0351\u036b\u0343a\u0334l\u0335g\u0336o" + "\u0300" * 60,
    "고양이",
    "\u1112\u1161\u11ab",
    "é",
    "e\u0301",
    "\U0010ffff",
    "\ufffd",
    " ",
    "\u00a0",
    " leading and trailing ",
    "a" * 1_000,
    "<b>" * 333,
    "long " * 200,
    "=" * 1_000,
    "\u202e" * 500,
    "가" * 1_000,
)
_FORMULAS = tuple(
    start + rest
    for start, rest in product("=+-@\t\r\n", ("1+1", "cmd|' /C calc'!A0", 'HYPERLINK("//evil.example","x")'))
)
_SHEETS = (
    " =1+1",
    "\x00=1+1",
    "\uff1d1+1",
    "\uff0b1",
    "\uff0d1",
    "\uff20sum",
    "x;=1+1",
    "x\t=1+1",
    "x\n=1+1",
    'x",=1+1',
    '"=1+1"',
    "a,b",
    'a"b',
    'a""b',
    "'quoted",
    "a | b",
    "# heading",
    "| a | b |",
    "](javascript:alert(1))",
    "![x](//evil.example/x.png)",
    "```\nfence",
    "***bold***",
    "---",
)

PAYLOADS = (
    *(one.format(script) for one in _ELEMENTS for script in (_SCRIPTS[0], _SCRIPTS[1], _SCRIPTS[3])),
    *(one.format(script) for one in _BREAKOUTS for script in _SCRIPTS[:3]),
    *_ADDRESSES,
    *_TEMPLATES,
    *_TERMINAL,
    *_DIRECTIONS,
    *_SHAPES,
    *_FORMULAS,
    *_SHEETS,
)


def as_file_name(name: str) -> str | None:
    """The name as a file system takes it: without slashes and NUL, of at most 200 bytes; None where nothing is left."""
    short = os.fsencode(name.replace("/", "\u2215").replace("\x00", ""))[:200].decode("utf-8", "ignore")
    return None if short in ("", ".", "..") else short
