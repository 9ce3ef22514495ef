"""What another library says is wrong, cut to what fits into a sentence of ours."""


def reason(problem: object) -> str:
    """The first line, as one sentence without its full stop."""
    lines = str(problem).strip().splitlines() or [type(problem).__name__]
    return lines[0].rstrip(".").replace(". ", "; ")
