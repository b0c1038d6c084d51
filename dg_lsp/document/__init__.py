"""The document as text: positions, what the model sees of it, and what is suggested.

Pure functions of strings; only a few modules that say so read files.
"""
