"""Modules, traces and state_dicts of torch as a chain of layers."""
