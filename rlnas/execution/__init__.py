"""Device, precision, memory and thread settings."""
