"""The configuration: typed, ranged, composed by hydra."""
