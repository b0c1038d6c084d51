"""Diagnoses an installation: the doctor's checks, and the traces of requests."""
