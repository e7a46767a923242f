"""Parts of an architecture as plain data that a report draws: cells, stages, motifs, programs."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Box:
    """A node of a diagram.

    name: unique in its diagram. label: shown. operator: chooses the colour, as `sep_conv3x3`; "" for none.
    """

    name: str
    label: str
    operator: str = ""


@dataclass(frozen=True)
class Arrow:
    """An edge from box `source` to box `target`, by name. label: shown, such as its operator; operator: the colour."""

    source: str
    target: str
    label: str = ""
    operator: str = ""


@dataclass(frozen=True)
class Diagram:
    """One part of an architecture: a directed acyclic graph of boxes, or lines of text.

    title: "normal cell". boxes: in topological order. lines: of a listing, drawn in a fixed-width font.
    """

    title: str
    boxes: tuple[Box, ...] = ()
    arrows: tuple[Arrow, ...] = ()
    lines: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        places = {box.name: place for place, box in enumerate(self.boxes)}
        assert len(places) == len(self.boxes), f"{self.title}: two boxes have one name"
        for arrow in self.arrows:
            assert places[arrow.source] < places[arrow.target], f"{self.title}: {arrow} leads back"
