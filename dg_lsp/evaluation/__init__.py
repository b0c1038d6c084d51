"""How well and how fast spans are filled, on code that the model has not seen."""
