"""What a process does when it begins as another's copy."""

import os


def in_child(function):
    """Call `function` in each child that ``os.fork`` makes, and return it: for locks that another
    thread of the parent may hold, and for threads that the child does not have.
    """
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=function)
    return function
