"""Looking into an installation: what requests went through, what is wrong, how fast it is."""
