"""A room for each algorithm; :mod:`cyconv.algorithms.base` tells what all of them are."""
