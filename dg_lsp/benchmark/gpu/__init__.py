"""How fast a model of the real shape runs on a device, with random weights."""
