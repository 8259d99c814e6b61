"""The section "On devices" of report.html, drawn into a page that was written before.

The rest of a page holds pictures of images that a bundle does not keep, so a page is never drawn
anew when results come: its section lies between two marks and is replaced.
"""

from __future__ import annotations

from typing import Final

import jinja2

from phoneproof.package import device_words

BEGIN: Final = "<!-- devices -->"
END: Final = "<!-- /devices -->"
_MAIN: Final = "<main>"


def replace_section(page: str, section: str) -> str:
    """The page with another section; nothing else of it changes.

    A page of a version that knew no devices has no marks: the section then comes first.
    """
    if BEGIN in page and END in page:
        before, _, rest = page.partition(BEGIN)
        _, _, after = rest.partition(END)
    else:
        before, main, after = page.partition(_MAIN)
        before, after = f"{before}{main}\n", f"\n{after}"
    return f"{before}{BEGIN}\n{section.strip()}\n{END}{after}"


def add_device_words(environment: jinja2.Environment) -> None:
    """Make them known to the template."""
    environment.globals.update(
        device_title=device_words.device_title,
        device_why=device_words.why,
        outcome_on_device=device_words.outcome,
        latency_words=device_words.latency_words,
        sustained_words=device_words.sustained_words,
        placed_words=device_words.placed_words,
    )
