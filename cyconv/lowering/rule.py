"""What a rewrite rule is: `cyconv.lowering` has them."""

from cyconv.problem import ROLES


class Rule:
    """One rewriting of one problem.

    Attributes
    ----------
    children : tuple of Problem
        What is left to solve.
    epilogue : bool
        Whether bias and activation may be applied to the children's results instead.
    spares : int
        How many of the last children are solved only to repair a result.
    phases : sequence of tuple of Phase
        Which cells of the result each child fills, axis by axis, if that is what it does.
    stored : bool
        Whether all it does is to convert, which the child's algorithm may do as well.
    """

    epilogue = True
    spares = 0
    phases = ()
    stored = False

    def __init__(self, problem, *children):
        self.problem = problem
        self.children = children

    @staticmethod
    def applies(problem):
        """Whether this rule has something to take away."""
        raise NotImplementedError

    def second(self, b):
        """The children's second operands, from the problem's."""
        return (b,)

    def sound(self, b):
        """The second operand as the children can take it, and it itself if `mend` must follow."""
        return b, None

    def run(self, a, out, solve):
        """Fill `out` from the first operand; ``solve(i, a_i, out_i)`` solves child i."""
        raise NotImplementedError

    def mend(self, a, out, b):
        """Put right what `run` made of an operand that was not sound."""
        raise NotImplementedError

    def __str__(self):
        return self.__doc__.splitlines()[0].rstrip(".")


class Views(Rule):
    """A rule that only looks at the three arrays in another way: strides change, no data moves."""

    def view(self, role, array):
        """How the child sees this array: 'x', 'w' or 'y'."""
        raise NotImplementedError

    def second(self, b):
        return (self.view(ROLES[self.problem.direction][1], b),)

    def run(self, a, out, solve):
        first, _, last = ROLES[self.problem.direction]
        solve(0, self.view(first, a), self.view(last, out))
