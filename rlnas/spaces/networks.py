"""The networks of a space for the images of a data set."""

from functools import lru_cache

from rlnas.networks.graph import Cost, Graph, cost
from rlnas.spaces.base import Architecture, Space


class Networks:
    """Compiles architectures to graphs and computes their costs; the last 10,000 graphs are cached.

    image_channels, image_size (height and width in pixels), classes: of the data.
    """

    def __init__(self, space: Space, image_channels: int, image_size: int, classes: int):
        self.space = space
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
        return space.graph(
            architecture, image_channels=self.image_channels, image_size=self.image_size, classes=self.classes
        )

    def graph(self, architecture: Architecture) -> Graph:
        """Return the network of an architecture as a child of shared weights.

        Raises RlnasError if the space builds no networks.
        """
        return self._graph(architecture)

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
