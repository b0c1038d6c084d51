"""How a request at an insertion site becomes a suggestion."""
