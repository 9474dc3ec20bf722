"""The record of the cost model's constants as a list of numbers, to fit and to print."""

from cyconv.planning.constants import described


class Number:
    """One number of a record: a constant, or one part of it.

    Attributes
    ----------
    name : str
        Group and constant, as ``memory.bandwidth``.
    part : str
        Which part of the constant, or empty.
    unit, means, origin : str
    value : float
    """

    def __init__(self, constants, group, name, told, key, part):
        self.name, self.part = f"{group}.{name}", part
        self.unit, self.means, self.origin = told["unit"], told["means"], told["origin"]
        self._group, self._field, self._key = getattr(constants, group), name, key

    @property
    def value(self):
        """What the record says, which can be set."""
        whole = getattr(self._group, self._field)
        return whole if self._key is None else whole[self._key]

    @value.setter
    def value(self, value):
        if self._key is not None:
            whole = getattr(self._group, self._field)
            parts = dict(whole) if isinstance(whole, dict) else list(whole)
            parts[self._key] = value
            value = type(whole)(parts)
        setattr(self._group, self._field, value)


def numbers(constants):
    """Every number of the record `constants`, in its order."""
    for group, name, told in described():
        whole = getattr(getattr(constants, group), name)
        if not told["parts"]:
            yield Number(constants, group, name, told, None, "")
        for i, part in enumerate(told["parts"]):
            yield Number(constants, group, name, told, part if isinstance(whole, dict) else i, part)
