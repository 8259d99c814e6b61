"""JUnit XML: one test case a check, so that any CI shows what was refused and why."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from phoneproof.core.check import Check
from phoneproof.core.report import ArtifactReport, Report
from phoneproof.package.optimization_words import ATTEMPT_HEADER, attempt_row, closest_words
from phoneproof.package.wording import bounds_text, check_title, limit_text, with_unit

_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit_xml(report: Report) -> bytes:
    """The whole build as UTF-8 XML: a suite for the capture gate and one for each artifact.

    A refused check is a failure: one that failed, or an undecided one where its artifact was not
    accepted. Checks that do not gate are test cases that are skipped, with their figure.
    """
    root = ElementTree.Element("testsuites", name=_text(f"{report.name} {report.version}"))
    passed = all(check.verdict == "pass" for check in report.gate if check.gating)
    _suite(root, "capture gate", report.gate, report.seconds, accepted=passed)
    for artifact in report.artifacts:
        _suite(root, artifact.id, artifact.checks, artifact.seconds, accepted=artifact.accepted)
        if artifact.attempts and not artifact.accepted:
            ElementTree.SubElement(root[-1], "system-out").text = _text(_tried(artifact, report))
    for count in ("tests", "failures", "skipped"):
        root.set(count, str(sum(int(suite.get(count, "0")) for suite in root)))
    ElementTree.indent(root)
    data: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return data + b"\n"


def _is_refused(check: Check, *, accepted: bool) -> bool:
    undecided = check.verdict == "undecided" and not accepted
    return check.gating and (check.verdict == "fail" or undecided)


def _suite(
    root: ElementTree.Element,
    name: str,
    checks: tuple[Check, ...],
    seconds: float,
    *,
    accepted: bool,
) -> None:
    refused = sum(_is_refused(check, accepted=accepted) for check in checks)
    suite = ElementTree.SubElement(
        root,
        "testsuite",
        name=_text(name),
        tests=str(len(checks)),
        failures=str(refused),
        errors="0",
        skipped=str(sum(not check.gating for check in checks)),
        time=f"{seconds:.3f}",
    )
    for check in checks:
        _case(suite, name, check, accepted=accepted)


def _tried(artifact: ArtifactReport, report: Report) -> str:
    rows = [ATTEMPT_HEADER, *(attempt_row(one) for one in artifact.attempts)]
    lines = [" | ".join(row) for row in rows]
    return "\n".join(["tried:", *lines, closest_words(artifact, report)]).rstrip()


def _case(suite: ElementTree.Element, name: str, check: Check, *, accepted: bool) -> None:
    case = ElementTree.SubElement(
        suite, "testcase", classname=_text(name), name=_text(_case_name(check)), time="0"
    )
    if _is_refused(check, accepted=accepted):
        failure = ElementTree.SubElement(
            case, "failure", type=check.verdict, message=_text(_figures(check))
        )
        failure.text = _text(_details(check))
    elif not check.gating:
        ElementTree.SubElement(case, "skipped", message=_text(f"shown only: {_figures(check)}"))
    else:
        ElementTree.SubElement(case, "system-out").text = _text(_figures(check))


def _case_name(check: Check) -> str:
    return f"{check_title(check)} against {check.against}"


def _figures(check: Check) -> str:
    bounds = f", 95 % bounds {bounds_text(check)}" if check.bounds else ""
    value = with_unit(check.value, check.unit)
    return f"{check.verdict}: {value}, limit {limit_text(check)}{bounds}, n = {check.n}"


def _details(check: Check) -> str:
    lines = [_figures(check)]
    if check.n_needed:
        lines.append(f"about {check.n_needed} images would decide it")
    if check.hint:
        lines.append(f"hint: {check.hint}")
    lines += [
        f"worst: {w.image} {with_unit(w.value, check.unit)} {w.note}".rstrip() for w in check.worst
    ]
    return "\n".join(lines)


def _text(text: str) -> str:
    """Control characters are not XML and would make the whole file unreadable."""
    return _NOT_XML.sub("\ufffd", text)
