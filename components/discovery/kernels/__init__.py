"""Inner loops, compiled. Importing one of these modules imports numba: do it where the work is done."""


def compile_all() -> None:
    """Compile what is kept on disk beside the sources, so that no later run has to: some ten seconds, once."""
    import numpy as np

    from components.discovery.adjacency import adjacency
    from components.discovery.assumptions import dependences
    from components.discovery.causal_order_search import causal_order

    values = np.random.default_rng(0).random((3000, 3))
    for rows in (200, 3000):
        table = values[:rows]
        adjacency(table, causal_order(table))
        dependences(table, ("a", "b", "c"))
