"""Children: operators as torch modules, the weights they share, their training, the stand-alone network."""
