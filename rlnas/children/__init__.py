"""Children: operators as torch modules, shared weights, training, and the stand-alone network."""
