"""The files of this floor: JSON that says first which of cyconv's it is."""

import json


def content(file, format_, error):
    """What is in `file`, a JSON object that says it is of this format.

    Parameters
    ----------
    file : str
    format_ : str
        As "cyconv tuning".
    error : type of exception
        Raised, with the reason, if the file is not there or is not such a file.

    Returns
    -------
    dict
    """
    try:
        with open(file, encoding="utf-8") as opened:
            found = json.load(opened)
    except OSError as reason:
        raise error(reason.strerror or str(reason)) from None
    except (ValueError, RecursionError):
        raise error("it is not JSON") from None
    if not isinstance(found, dict) or found.get("format") != format_:
        raise error(f"it is not a {format_.removeprefix('cyconv ')} file of cyconv")
    return found
