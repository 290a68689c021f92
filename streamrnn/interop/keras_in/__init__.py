"""Keras models and files as a chain of layers; Keras itself is not needed."""
