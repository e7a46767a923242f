"""The networks of a space for the images of a data set."""

from functools import lru_cache

from rlnas.networks.graph import Cost, Graph, cost
from rlnas.networks.relaxation import Relaxation
from rlnas.spaces.base import Architecture, Space


class Networks:
    """Compiles architectures to graphs and computes their costs; the last 10,000 graphs are cached.

    image_channels, image_size (height and width in pixels), classes: of the data. searched: the space of the given
    architectures if it is another than the networks', see `Space.transferred`.
    """

    def __init__(
        self, space: Space, image_channels: int, image_size: int, classes: int, *, searched: Space | None = None
    ):
        self.space = space
        self.searched = searched
        self.image_channels = image_channels
        self.image_size = image_size
        self.classes = classes
        self._graph = lru_cache(maxsize=10_000)(self._compile)
        self._standalone = lru_cache(maxsize=10_000)(self._compile_standalone)
        self._cost = lru_cache(maxsize=10_000)(self._count)  # reward and history both ask for it

    def _compile(self, architecture: Architecture) -> Graph:
        return self._graph_of(self.space, architecture)

    def _compile_standalone(self, architecture: Architecture) -> Graph:
        alone = self.space.standalone
        return self.graph(architecture) if alone is self.space else self._graph_of(alone, architecture)

    def _graph_of(self, space: Space, architecture: Architecture) -> Graph:
        return space.graph(self.own(architecture), **self._sizes)

    @property
    def _sizes(self) -> dict[str, int]:
        return {"image_channels": self.image_channels, "image_size": self.image_size, "classes": self.classes}

    def own(self, architecture: Architecture) -> Architecture:
        """Return the architecture of `space` that a given one stands for."""
        return architecture if self.searched is None else self.searched.transferred(architecture, self.space)

    def auxiliary(self, architecture: Architecture) -> Graph | None:
        """Return the stand-alone network that ends in the auxiliary head; None if there is none."""
        return self.space.standalone.auxiliary(self.own(architecture), **self._sizes)

    def graph(self, architecture: Architecture) -> Graph:
        """Return the network of an architecture as a child of shared weights.

        Raises RlnasError if the space builds no networks.
        """
        return self._graph(architecture)

    def relaxation(self) -> Relaxation:
        """Return the network of all architectures at once, with the weight keys of `graph`.

        Raises RlnasError if the space has none.
        """
        return self.space.relaxation(**self._sizes)

    def standalone(self, architecture: Architecture) -> Graph:
        """Return the network of an architecture for training alone; see `Space.standalone`.

        Raises RlnasError if the space builds no networks.
        """
        return self._standalone(architecture)

    def cost(self, architecture: Architecture) -> Cost:
        """Return the network's parameters and FLOPs, which are the same for both forms."""
        return self._cost(architecture)

    def _count(self, architecture: Architecture) -> Cost:
        return cost(self.graph(architecture))
