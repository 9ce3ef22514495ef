"""Methods for hidden causes beside lingam's: seconds of CPU, and whether every cell is the same.

Both run one after the other on the same tables in one process and one thread, with the kernel width that the lingam
package uses, so that the results can be compared. Tables of uniform and of Laplace noise have up to three parents a
variable; the third kind is the model of lingam's documentation, whose noise is a cubed normal.
"""

import statistics
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

import numpy as np

from components.contracts import FloatArray, PriorKnowledge
from components.discovery.additive import AdditiveRegression
from components.discovery.cam_uv import CamUv, draw
from components.discovery.cam_uv_x import CamUvX
from components.discovery.constraints import reconcile
from components.discovery.hsic import Kernel, p_value
from components.discovery.linear_residuals import LinearTests
from components.discovery.preparation import PreparedTable
from components.discovery.rcd import RepetitiveDiscovery, ancestors, hidden_causes, parents_of, weights_of
from components.synthetic import Noise, linear_sem, random_dag

SEEDS = 5
Answer = TypeVar("Answer")
Both = Callable[[FloatArray], tuple[Callable[[], FloatArray], Callable[[], FloatArray]]]


def confounded() -> None:
    """RCD, CAM-UV and their parts: ours and lingam's, CPU seconds."""
    _parts()
    print("\n| method | table | ours, s | lingam, s | ratio | same cells |")
    print("|---|---|---|---|---|---|")
    for rows, p in ((500, 8), (1000, 8), (2000, 8)):
        for noise in ("uniform", "laplace"):
            _compared("RCD", f"{rows:,} x {p}, {noise}", (_linear(rows, p, noise, seed) for seed in range(SEEDS)), _rcd)
    _compared("RCD", "1,000 x 6, cubed normal", (cubed(seed, 1000) for seed in range(SEEDS)), _rcd)
    for rows in (500, 1000, 2000):
        for explanatory in (2, 3):
            tables = (curved(seed, rows, 8) for seed in range(SEEDS))
            _compared(f"CAM-UV, sets of {explanatory}", f"{rows:,} x 8", tables, _cam_uv(explanatory))
    _wider()


def curved(seed: int, rows: int, p: int) -> FloatArray:
    """Waves and squares of up to two random parents, one variable of p + 1 not shown."""
    random = np.random.default_rng(seed)
    values = random.uniform(-1, 1, (rows, p + 1))
    for effect in range(1, p + 1):
        for cause in random.permutation(effect)[: random.integers(0, 3)]:
            column = values[:, cause] / values[:, cause].std()
            values[:, effect] += np.sin(2 * column + random.uniform(0, 3)) if random.random() < 0.5 else column**2 / 2
    return np.delete(values, seed % (p + 1), axis=1)


def cubed(seed: int, rows: int) -> FloatArray:
    """The model of lingam's documentation of RCD, with a hidden cause of x2 and x4."""
    random = np.random.RandomState(seed)
    x5, hidden, e1, e3, e0, e2, e4 = (random.normal(0, 0.5, rows) ** 3 for _ in range(7))
    x1, x3 = 0.6 * x5 + e1, 0.5 * x5 + e3
    x0 = x1 + x3 + e0
    return np.column_stack([x0, x1, 0.8 * x0 - 0.6 * hidden + e2, x3, x0 - 0.5 * hidden + e4, x5])


def _linear(rows: int, p: int, noise: Noise, seed: int) -> FloatArray:
    weights, order = random_dag(p, 3, seed)
    return linear_sem(weights, order, rows, noise, seed)


def _rcd(values: FloatArray) -> tuple[Callable[[], FloatArray], Callable[[], FloatArray]]:
    from lingam import RCD

    def ours() -> FloatArray:
        method, nothing = RepetitiveDiscovery(width="first_100"), np.zeros((values.shape[1],) * 2, dtype=np.bool_)
        tests = LinearTests.of(values, method.width)
        parents, tried = parents_of(tests, ancestors(tests, method, nothing), method.correlation_alpha, nothing)
        names = tuple(map(str, range(values.shape[1])))
        return weights_of(values, parents, hidden_causes(tests, parents, tried, method.correlation_alpha, names)[0])

    return ours, lambda: RCD().fit(values).adjacency_matrix_


def _cam_uv(explanatory: int) -> Both:
    from lingam import CAMUV

    def both(values: FloatArray) -> tuple[Callable[[], FloatArray], Callable[[], FloatArray]]:
        def ours() -> FloatArray:
            method, nothing = CamUv(width="first_100", explanatory=explanatory), np.zeros((values.shape[1],) * 2, bool)
            return draw(method.tests(_table(values)), method, nothing).matrix

        return ours, lambda: CAMUV(num_explanatory_vals=explanatory).fit(values).adjacency_matrix_

    return both


def _table(values: FloatArray) -> PreparedTable:
    return PreparedTable(tuple(f"x{index}" for index in range(values.shape[1])), values, ())


def _compared(
    method: str,
    table: str,
    tables: Iterator[FloatArray],
    both: Both,
) -> None:
    mine, theirs, same = [], [], 0
    for values in tables:
        ours, reference = both(values)
        ours()
        found, seconds = _cpu(ours)
        oracle, longer = _cpu(reference)
        mine.append(seconds)
        theirs.append(longer)
        same += np.allclose(found, oracle, rtol=1e-9, atol=1e-10, equal_nan=True)
    one, other = statistics.median(mine), statistics.median(theirs)
    ratio = statistics.median(theirs[k] / mine[k] for k in range(len(mine)))
    print(f"| {method} | {table} | {one:.3f} | {other:.2f} | {ratio:.0f} | {same} of {len(mine)} |", flush=True)


def _parts() -> None:
    """One test of independence and one additive regression."""
    from lingam.hsic import hsic_test_gamma
    from pygam import LinearGAM

    print("\n| part | rows | ours, ms | theirs, ms | ratio | largest difference |")
    print("|---|---|---|---|---|---|")
    for rows in (300, 1000, 2000, 4000):
        random = np.random.default_rng(0)
        x, y = random.laplace(size=(2, rows))
        y += 0.2 * np.sqrt(300 / rows) * x**2
        kernels = [Kernel.of(values, "first_100") for values in (x, y)]
        spare: list[FloatArray] = []
        oracle, theirs = _repeated(lambda: hsic_test_gamma(x, y)[1], 3)  # noqa: B023
        fresh, mine = _repeated(lambda: _fresh(x, y, spare), 20)  # noqa: B023
        error = abs(fresh - oracle)
        print(f"| HSIC, both kernels new | {rows:,} | {mine:.2f} | {theirs:.1f} | {theirs / mine:.0f} | {error:.0e} |")
        _, mine = _repeated(lambda: p_value(*kernels), 20)  # noqa: B023
        print(f"| HSIC, kernels kept | {rows:,} | {mine:.2f} | {theirs:.1f} | {theirs / mine:.0f} | |", flush=True)
    for rows in (300, 1000):
        values = curved(0, rows, 4)
        regression = AdditiveRegression(values)
        left, mine = _repeated(lambda: regression.residual(3, (0, 1)), 50)  # noqa: B023
        fitted, theirs = _repeated(
            lambda: values[:, 3] - LinearGAM().fit(values[:, :2], values[:, 3]).predict(values[:, :2]),  # noqa: B023
            5,
        )
        error = np.abs(left - fitted).max()
        name, ratio = "additive regression on 2, bases kept", theirs / mine
        print(f"| {name} | {rows:,} | {mine:.2f} | {theirs:.1f} | {ratio:.0f} | {error:.0e} |", flush=True)


def _fresh(x: FloatArray, y: FloatArray, spare: list[FloatArray]) -> float:
    """A test of two new kernels, in the memory of earlier ones as in a search."""
    kernels = [Kernel.of(values, "first_100", spare) for values in (x, y)]
    answer = p_value(*kernels)
    for kernel in kernels:
        kernel.release()
    return answer


def _wider() -> None:
    """What CAM-UV-X costs and settles beyond CAM-UV."""
    print("\n| table | CAM-UV, s | CAM-UV-X, s | pairs open | open with X |")
    print("|---|---|---|---|---|")
    for rows in (500, 1000, 2000):
        seconds: list[list[float]] = [[], []]
        open_pairs = [0, 0]
        for seed in range(SEEDS):
            table = _table(curved(seed, rows, 8))
            nothing = reconcile(PriorKnowledge.unknown(table.names), table.names, table.names)
            for place, method in enumerate((CamUv(), CamUvX())):
                found, took = _cpu(lambda: method.search(table, nothing))  # noqa: B023
                seconds[place].append(took)
                open_pairs[place] += int(found.confounded.sum()) // 2
        one, other = (statistics.median(each) for each in seconds)
        print(f"| {rows:,} x 8 | {one:.3f} | {other:.3f} | {open_pairs[0]} | {open_pairs[1]} |", flush=True)


def _cpu(work: Callable[[], Answer]) -> tuple[Answer, float]:
    begin = time.process_time()
    answer = work()
    return answer, time.process_time() - begin


def _repeated(work: Callable[[], Answer], times: int) -> tuple[Answer, float]:
    """The answer, and the median of milliseconds."""
    answer = work()
    return answer, 1000 * statistics.median(_cpu(work)[1] for _ in range(times))
