"""*How* a problem is computed: which algorithm, at what cost, and why.

plan.py         Plan: a lowered problem with an algorithm at each leaf; the cache; packed weights
registry.py     the table of algorithms; where devices are asked for
cost.py         what the choice asks: the constants in use, accuracy, limits
estimates.pyx   the cost model's formulas, in seconds
constants.py    its constants: names, units and meanings
model.py        the file with their values: the one built in, or another machine's
files.py        how the JSON of model.py and of tuning.py is read
tuning.py       choices measured once and remembered in a file
explanation.py  why a plan is as it is, as text and as values
"""
