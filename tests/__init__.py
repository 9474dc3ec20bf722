"""The tests: named problems, an oracle that shares no code with the product, derived bounds."""
