"""The alternatives of a contract: what is tried, and how each is called."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from phoneproof.core.capture import Inspection
from phoneproof.core.contract import Contract, Crop, ImageInput, Pad
from phoneproof.core.presets import PRESETS, preset_input
from phoneproof.core.tensors import TensorSpec
from phoneproof.pipeline.search.geometry_table import (
    AS_IT_IS,
    FILTERS,
    filter_of,
    geometries,
    geometry_name,
    with_filter,
)
from phoneproof.pipeline.search.values_table import (
    ends,
    fits_tensor,
    formula_name,
    formulas,
    other_grays,
    with_formula,
)
from phoneproof.verify.search.label_orders import LabelOrder, label_orders
from phoneproof.verify.search.observe import Candidate


@dataclass(frozen=True, kw_only=True, slots=True)
class SearchSpace:
    """Everything a contract could be instead.

    tensor: the source's image input, which says what a quantised tensor can hold. orders:
    readings of the classes, the given one first. implied: the preset that follows from the source
    file; empty where none does. ready: the pictures have the input's size already: somebody
    prepared them for it, so that they are taken as they are and only channels, values and classes
    are searched. A resize that changes nothing but the sharpness would otherwise win where
    pictures were compressed again.
    """

    contract: Contract
    tensor: TensorSpec
    orders: tuple[LabelOrder, ...]
    implied: str = ""
    ready: bool = False

    @classmethod
    def of(
        cls,
        contract: Contract,
        inspection: Inspection,
        used: frozenset[int],
        *,
        ready: bool = False,
    ) -> SearchSpace:
        """The space around a contract; `used`: label indices that the images have."""
        orders = label_orders(contract.labels, used=used, read=inspection.labels)
        return cls(
            contract=contract,
            tensor=inspection.inputs[0],
            orders=tuple(orders),
            implied=inspection.preset,
            ready=ready,
        )

    @property
    def given(self) -> Candidate:
        """The contract as it is."""
        return Candidate(image=self.contract.image, order=0)

    def grid(self) -> tuple[Candidate, ...]:
        """Channels x values x label order: what decides most, and only together."""
        images = [
            image
            for channels in channel_options(self.contract.image)
            for image in self._values(channels)
        ]
        orders = range(len(self.orders))
        crossed = (Candidate(image=image, order=o) for image in images for o in orders)
        return distinct([self.given, *crossed])

    def with_geometries(self, candidates: Iterable[Candidate]) -> tuple[Candidate, ...]:
        """The candidates and each of them under every geometry."""
        found: list[Candidate] = []
        for candidate in candidates:
            found.append(candidate)
            for name, image in geometries(self.contract.task, candidate.image):
                if not self.ready or name == AS_IT_IS:
                    found.append(with_image(candidate, image))
        return distinct(found)

    def presets(self, like: Candidate) -> tuple[Candidate, ...]:
        """What the frameworks do, whole, with the order of the classes of `like`."""
        own = self.contract.image
        found = [
            msgspec.structs.replace(
                preset_input(name, own.size),
                name=own.name,
                orientation=own.orientation,
                color_profile=own.color_profile,
                alpha=own.alpha,
            )
            for name in PRESETS
            if own.gray is None and not self.ready
        ]
        return distinct(
            with_image(like, image)
            for image in found
            if fits_tensor(image, self.tensor) and not (self._detects and _crops(image))
        )

    def is_implied(self, candidate: Candidate) -> bool:
        """Whether the source file itself implies this image input."""
        return bool(self.implied) and self.preset_of(candidate) == self.implied

    def preset_of(self, candidate: Candidate) -> str:
        """The preset that is the candidate's image input; empty where none is."""
        return preset_of(candidate.image, self.implied)

    @property
    def _detects(self) -> bool:
        return self.contract.task == "detect"

    def details(self, best: Candidate) -> tuple[Candidate, ...]:
        """Around the best one: filters, small variations of its values, the other channels."""
        image, name = best.image, formula_name(best.image)
        others = [] if self.ready else [with_filter(image, method) for method in FILTERS]
        others += [with_formula(image, one) for one in formulas(image) if one.like == name]
        others += channel_options(image)
        fitting = (one for one in others if fits_tensor(one, self.tensor))
        return distinct([best, *(with_image(best, one) for one in fitting)])

    def contract_of(self, candidate: Candidate) -> Contract:
        """The candidate as a contract."""
        return msgspec.structs.replace(
            self.contract,
            inputs=(candidate.image,),
            labels=self.orders[candidate.order].labels,
        )

    def words(self, candidate: Candidate) -> str:
        """The candidate in words."""
        return ", ".join(self._parts(candidate).values())

    def differs(self, candidate: Candidate) -> tuple[str, ...]:
        """What is otherwise than in the given contract, in words."""
        own = self._parts(self.given)
        other = self._parts(candidate)
        return tuple(text for key, text in other.items() if own.get(key) != text)

    def _values(self, image: ImageInput) -> list[ImageInput]:
        usual = [with_formula(image, formula) for formula in formulas(image) if not formula.like]
        return [image, *(one for one in usual if fits_tensor(one, self.tensor))]

    def _parts(self, candidate: Candidate) -> dict[str, str]:
        image = candidate.image
        gray = f" by {image.gray}'s formula" if image.gray else ""
        parts = {
            "channels": f"{image.channels}{gray}" if gray else image.channels.upper(),
            "values": formula_name(image),
            "geometry": geometry_name(self.contract.task, image),
            "filter": filter_of(image),
        }
        order = self.orders[candidate.order].name
        return {**parts, "labels": f"labels: {order}"} if order else parts


def channel_options(image: ImageInput) -> tuple[ImageInput, ...]:
    """The image input as it is, and with other channels; colours keep mean and pad."""
    if image.gray is not None:
        others = [msgspec.structs.replace(image, gray=gray) for gray in other_grays(image.gray)]
        return image, *others
    geometry = tuple(
        msgspec.structs.replace(op, value=op.value[::-1]) if isinstance(op, Pad) else op
        for op in image.geometry
    )
    swapped = msgspec.structs.replace(
        image,
        channels="bgr" if image.channels == "rgb" else "rgb",
        geometry=geometry,
        mean=image.mean[::-1],
        std=image.std[::-1],
    )
    return image, swapped


def distinct(candidates: Iterable[Candidate]) -> tuple[Candidate, ...]:
    """Each meaning once; of equal ones the first."""
    found: dict[object, Candidate] = {}
    for candidate in candidates:
        image = candidate.image
        meaning = (image.channels, image.gray, image.geometry, ends(image), candidate.order)
        found.setdefault(meaning, candidate)
    return tuple(found.values())


def preset_of(image: ImageInput, likely: str = "") -> str:
    """The preset with the same channels, geometry and values; empty where none has them.

    likely: is named where it is one of several.
    """
    if image.gray is not None:
        return ""
    meaning = (image.channels, image.geometry, ends(image))
    for name in (likely, *PRESETS) if likely else PRESETS:
        other = preset_input(name, image.size)
        if (other.channels, other.geometry, ends(other)) == meaning:
            return name
    return ""


def _crops(image: ImageInput) -> bool:
    return any(isinstance(op, Crop) for op in image.geometry)


def is_conventional(image: ImageInput) -> bool:
    """Whether a framework's preset fits the picture in the same way, whatever the filter."""
    shape = with_filter(image, "pillow.bilinear").geometry
    presets = (preset_input(name, image.size) for name in PRESETS)
    return any(with_filter(one, "pillow.bilinear").geometry == shape for one in presets)


def with_image(candidate: Candidate, image: ImageInput) -> Candidate:
    """The candidate with another image input."""
    return Candidate(image=image, order=candidate.order)
