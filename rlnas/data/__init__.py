"""Images as uint8 tensors on the device, split once into train, valid and test; each batch augmented as a whole."""

from rlnas.data.augment import Augmentation, augment
from rlnas.data.images import ImageData, Images, prepare
from rlnas.data.load import load_data

__all__ = ["Augmentation", "ImageData", "Images", "augment", "load_data", "prepare"]
