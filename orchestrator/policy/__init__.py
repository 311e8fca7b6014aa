"""The rules that a city may change: prices and weights, as data with a version."""
