"""The two ways a run can be refused: by what a person gave, or by where it runs."""


class InputError(ValueError):
    """Something a person gave breaks a rule; the message names field, rule, value and remedy. Exit code 2."""


class OutsideError(RuntimeError):
    """Something outside (a server, a model, a disk) is not there or not well. Exit code 1."""
