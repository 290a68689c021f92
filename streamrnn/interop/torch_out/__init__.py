"""Modules of torch that compute what layers do: plain, recurrent, modern, ahead; make finds the one for a layer."""
