from __future__ import annotations

import itertools
import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import msgspec
import pytest

from phoneproof.core.check import Check
from phoneproof.core.report import Report
from phoneproof.package.drawing import luminance
from phoneproof.package.figures import MAX_POINTS, interval, lineage, score_plot
from phoneproof.package.report_html import render_report
from tests.unit import optimization_samples as optimized
from tests.unit import report_samples as samples

VOID = {"meta", "img", "br", "link", "input", "hr"}


class Page(HTMLParser):
    """Every tag with its attributes; fails on a tag that is closed wrongly or never."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open, f"</{tag}> closes nothing"
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self._open:
            self.text.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]

    @property
    def words(self) -> str:
        return " ".join(" ".join(self.text).split())


def hostile_report() -> Report:
    """Every text that a file, a path or a library may bring is hostile."""
    h = samples.HOSTILE
    report = samples.failing_report()
    contract = samples.detect_contract(labels=(h, None, *[h] * 8))
    artifacts = tuple(
        msgspec.structs.replace(
            artifact,
            path=f"artifacts/{h}",
            step=h,
            options=((h, h),),
            tools=((h, h),),
            checks=tuple(
                msgspec.structs.replace(c, hint=h, method=h, slice=h, runtime=h, device=h, unit=h)
                for c in artifact.checks
            ),
        )
        for artifact in report.artifacts
    )
    capture = samples.capture(contract)
    evidence = msgspec.structs.replace(
        capture.evidence, framework=h, family=h, license=h, training=((h, h),), metrics=((h, 1.0),)
    )
    return msgspec.structs.replace(
        report,
        name=h,
        version=h,
        capture=msgspec.structs.replace(capture, source_name=h, importer=h, evidence=evidence),
        artifacts=artifacts,
        hazards=(msgspec.structs.replace(samples.AGPL, name=h, found=h, next_step=h),),
        tools=((h, h),),
    )


REPORTS = {
    "accepted": samples.accepted_report(),
    "failing": samples.failing_report(),
    "undecided": samples.undecided_report(),
    "gate": samples.refused_at_gate(),
    "unlabelled": samples.unlabelled_report(),
    "labels1000": samples.accepted_report(samples.classify_contract()),
    "hostile": hostile_report(),
    "optimized": optimized.optimized_report(),
    "ladder": optimized.ladder_refused_report(),
    "hostile_ladder": optimized.hostile_report(),
}


@pytest.fixture(params=list(REPORTS))
def report(request: pytest.FixtureRequest) -> Report:
    return REPORTS[request.param]


def test_the_page_parses_and_has_one_first_heading(report: Report) -> None:
    page = Page(render_report(report, samples.comparisons()))
    assert len(page.all("h1")) == 1
    headings = [int(tag[1]) for tag, _ in page.tags if re.fullmatch(r"h[1-6]", tag)]
    assert all(after <= before + 1 for before, after in itertools.pairwise(headings))
    assert page.all("html")[0]["lang"] == "en"


def test_the_page_requests_nothing(report: Report) -> None:
    html = render_report(report, samples.comparisons())
    page = Page(html)
    for tag, attributes in page.tags:
        assert tag not in {"script", "link", "iframe", "object", "embed", "base", "form"}
        for name, value in attributes.items():
            assert not name.startswith("on")
            if name in {"src", "href", "srcset", "xlink:href", "poster", "action", "data"}:
                assert value is not None
                assert value.startswith(("data:image/jpeg;base64,", "#"))
    style = html[html.index("<style>") : html.index("</style>")]
    assert "url(" not in style
    assert "@import" not in style
    outside_text = re.sub(r">[^<]*<", "><", html)
    assert "http:" not in outside_text
    assert "https:" not in outside_text


def test_links_lead_somewhere_on_the_page(report: Report) -> None:
    page = Page(render_report(report))
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    for link in page.all("a"):
        assert (link["href"] or "").removeprefix("#") in ids


def test_hostile_text_is_text() -> None:
    html = render_report(hostile_report(), samples.comparisons())
    page = Page(html)
    assert "<script" not in html
    assert not page.all("script")
    assert page.words.count("<script>alert('x')</script>\"&") > 20


def test_the_check_for_hostile_text_can_fail() -> None:
    assert Page("<p><script>x</script></p>").all("script")


def test_every_picture_has_a_text_and_every_column_a_scope(report: Report) -> None:
    page = Page(render_report(report, samples.comparisons()))
    assert all(image.get("alt") for image in page.all("img"))
    assert all(svg.get("aria-label") for svg in page.all("svg"))
    assert all(cell.get("scope") in {"col", "row"} for cell in page.all("th"))


def test_pictures_are_shown_in_pairs_under_their_artifact() -> None:
    page = Page(render_report(samples.failing_report(), samples.comparisons()))
    assert len(page.all("img")) == 6
    nowhere = samples.comparisons("onnx-float16")
    assert not Page(render_report(samples.failing_report(), nowhere)).all("img")


def test_every_figure_of_the_report_is_on_the_page(report: Report) -> None:
    words = Page(render_report(report)).words
    for artifact in report.artifacts:
        assert words.count(artifact.id) >= 2
        assert artifact.sha256 in words
        for check in artifact.checks:
            assert check.name in words
            assert not check.hint or check.hint in words
    for label in report.capture.contract.labels:
        assert label is None or label in words


def test_the_first_sentence_says_which_step_broke_it() -> None:
    words = Page(render_report(samples.failing_report())).words
    first = words.index("Refused: tflite-float32 is not the model that was trained.")
    assert "“litert-torch”" in words
    assert first < words.index("From the source to each artifact")
    assert "First diverging layer: model/22/cv2.0/conv" in words


def test_undecided_is_explained_with_what_it_takes() -> None:
    words = Page(render_report(samples.undecided_report())).words
    assert "1 figure is not proved" in words
    assert "About 541 images would decide it." in words
    strict = msgspec.structs.replace(samples.undecided_report(), undecided="fail")
    assert "is refused in this build" in Page(render_report(strict)).words


def test_a_report_without_labels_or_images_renders() -> None:
    report = msgspec.structs.replace(samples.unlabelled_report(), datasets=())
    assert "No images were given." in Page(render_report(report)).words
    assert "without labels" in Page(render_report(samples.unlabelled_report())).words


def test_the_same_report_gives_the_same_bytes() -> None:
    one = render_report(samples.failing_report(), samples.comparisons())
    assert one == render_report(samples.failing_report(), samples.comparisons())


def test_lineage_marks_verdicts_with_words_and_signs() -> None:
    svg = ElementTree.fromstring(str(lineage(samples.failing_report())))
    texts = [node.text for node in svg.iter("text")]
    assert texts.count("✗ fail") == 2
    assert texts.count("✓ pass") == 2
    assert "tflite-float16" in texts


def test_lineage_puts_children_below_their_parent_and_survives_strangers() -> None:
    report = samples.accepted_report()
    first, second, third = report.artifacts
    shuffled = msgspec.structs.replace(report, artifacts=(third, first, second))
    texts = [t.text for t in ElementTree.fromstring(str(lineage(shuffled))).iter("text")]
    assert texts.index("tflite-float32") < texts.index("tflite-float16")
    loop = msgspec.structs.replace(second, parent=third.sha256)
    circular = msgspec.structs.replace(report, artifacts=(first, loop, third))
    shown = [t.text for t in ElementTree.fromstring(str(lineage(circular))).iter("text")]
    assert {"onnx-float32", "tflite-float32", "tflite-float16"} <= set(shown)


def test_the_score_plot_is_bounded() -> None:
    artifact = samples.accepted_report().artifacts[0]
    many = msgspec.structs.replace(artifact, scores=tuple((i / 9999, 1.2) for i in range(10_000)))
    svg = ElementTree.fromstring(str(score_plot(many, None)))
    circles = list(svg.iter("circle"))
    assert len(circles) <= MAX_POINTS
    assert {c.get("cy") for c in circles} == {"10.0"}


@pytest.mark.parametrize(
    ("value", "bounds", "limit"),
    [(0.0, (0.0, 0.0), 0.0), (0.214, (0.163, 0.268), 0.01), (-0.02, (-0.05, -0.01), 0.01)],
)
def test_intervals_stay_inside_their_frame(
    value: float, bounds: tuple[float, float], limit: float
) -> None:
    check = samples.margin("map50_95_drop", value, bounds, "pass")
    check = msgspec.structs.replace(check, limit=limit)
    svg = ElementTree.fromstring(str(interval(check)))
    for line in svg.iter("line"):
        assert 0 <= float(line.get("x1", "-1")) <= 160
        assert 0 <= float(line.get("x2", "-1")) <= 160
    assert str(interval(msgspec.structs.replace(check, bounds=None))) == ""


def test_a_check_without_a_value_renders() -> None:
    report = samples.accepted_report()
    check: Check = msgspec.structs.replace(report.artifacts[0].checks[1], value=None)
    artifact = msgspec.structs.replace(report.artifacts[0], checks=(check,))
    render_report(msgspec.structs.replace(report, artifacts=(artifact,)))


GROUNDS = ("paper", "panel", "pass-tint", "undecided-tint", "fail-tint")
TEXT_ON_GROUND = [
    *[("ink", ground) for ground in ("paper", "panel", "pass-tint", "undecided-tint", "fail-tint")],
    *[
        ("soft", ground)
        for ground in ("paper", "panel", "pass-tint", "undecided-tint", "fail-tint")
    ],
    *[(verdict, f"{verdict}-tint") for verdict in ("pass", "undecided", "fail")],
    *[(verdict, "paper") for verdict in ("pass", "undecided", "fail", "accent")],
    *[("accent", ground) for ground in ("pass-tint", "undecided-tint", "fail-tint")],
    *[("paper", stamp) for stamp in ("pass", "undecided", "fail")],
]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_contrast_in_both_schemes(scheme: str) -> None:
    """WCAG AA: 4.5 to 1."""
    html = render_report(samples.accepted_report())
    blocks = re.findall(r":root \{(.*?)\}", html, flags=re.DOTALL)
    block = blocks[0] if scheme == "light" else blocks[1]
    colors = dict(re.findall(r"--([a-z-]+): #([0-9a-f]{6})", block))
    for text, ground in TEXT_ON_GROUND:
        light, dark = sorted((relative(colors[text]), relative(colors[ground])), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 4.5, (text, ground)


def relative(color: str) -> float:
    return luminance((int(color[:2], 16), int(color[2:4], 16), int(color[4:], 16)))


def test_a_refused_importer_does_not_colour_the_hub() -> None:
    report = samples.accepted_report()
    shown = msgspec.structs.replace(samples.gate("fail")[0], gating=False, slice="other importer")
    both = msgspec.structs.replace(report, gate=(*report.gate, shown))
    texts = [t.text for t in ElementTree.fromstring(str(lineage(both))).iter("text")]
    assert "✗ fail" not in texts
    assert "✗ fail, shown only" in Page(render_report(both)).words
