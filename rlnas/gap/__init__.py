"""The gap between the score of the shared weights and the accuracy of networks that are trained alone."""
