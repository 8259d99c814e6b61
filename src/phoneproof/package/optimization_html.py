"""Functions and words of optimisation that the page's templates call."""

from __future__ import annotations

import jinja2

from phoneproof.package import optimization_figures as figures
from phoneproof.package import optimization_words as words
from phoneproof.package import pareto_axes


def add_optimization_words(environment: jinja2.Environment) -> None:
    """Make them known to the templates."""
    environment.globals.update(
        pareto_picture=figures.pareto_picture,
        strain_bar=figures.strain_bar,
        damage_bar=figures.damage_bar,
        share_bar=figures.share_bar,
        outputs_of=figures.outputs_of,
        colours=figures.COLOURS,
        shown_layers=words.SHOWN_LAYERS,
        host_note=words.HOST_NOTE,
        found_words=words.found_words,
        closest_words=words.closest_words,
        losses_of=words.losses_of,
        outcome=words.outcome,
        percent=words.percent,
        read_back_words=words.read_back_words,
        sensitivity_words=words.sensitivity_words,
        calibration_words=words.calibration_words,
        stability_words=words.stability_words,
        phone_words=words.phone_words,
        macs_text=words.macs_text,
        delegate_name=words.DELEGATE_NAMES.__getitem__,
        target_name=words.target_name,
        axis_name=pareto_axes.axis_name,
        accuracy_of=pareto_axes.accuracy_of,
    )
