"""Fit indices against semopy, against the likelihood written out, and on the tables of the world."""

import os
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2, kstest, multivariate_normal

from components.discovery.fit_indices import fit_indices
from components.errors import InputError
from components.synthetic import linear_sem, random_dag

DATA = Path(os.environ.get("KINTSUGI_TEST_DATA", Path(__file__).resolve().parents[4] / "shared" / "data"))


def implied(S: np.ndarray, edges: np.ndarray, joined: bool) -> np.ndarray:
    """The model's covariance: (I - B)^-1 Psi (I - B)^-T, the exogenous variables correlated or not."""
    weights, psi = np.zeros_like(S), np.zeros_like(S)
    free = np.flatnonzero(~edges.any(axis=1))
    psi[np.ix_(free, free)] = S[np.ix_(free, free)] if joined else np.diag(np.diag(S)[free])
    for effect in np.flatnonzero(edges.any(axis=1)):
        parents = edges[effect]
        weights[effect, parents] = np.linalg.lstsq(S[np.ix_(parents, parents)], S[parents, effect], rcond=None)[0]
        away = np.eye(len(S))[effect] - weights[effect]
        psi[effect, effect] = away @ S @ away
    mixing = np.linalg.inv(np.eye(len(S)) - weights)
    return np.asarray(mixing @ psi @ mixing.T)


def world(p: int, parents: int, seed: int, rows: int = 60) -> tuple[np.ndarray, np.ndarray]:
    """A table, and edges that are not those it was made with."""
    weights, order = random_dag(p, parents, seed)
    return linear_sem(weights, order, rows, "laplace", seed), random_dag(p, parents, seed + 1)[0] != 0


@given(p=st.integers(2, 7), parents=st.integers(0, 4), seed=st.integers(0, 10**6))
@settings(deadline=None, max_examples=60, derandomize=True)
def test_the_closed_form_is_the_likelihood(p: int, parents: int, seed: int) -> None:
    values, edges = world(p, parents, seed)
    rows = len(values)
    S = np.cov(values.T, ddof=0)
    fit = fit_indices(S, edges, rows)
    assert fit is not None
    sigma = implied(S, edges, joined=True)
    discrepancy = np.linalg.slogdet(sigma)[1] + np.trace(np.linalg.solve(sigma, S)) - np.linalg.slogdet(S)[1] - p
    assert fit.chi2 == pytest.approx(max(rows * discrepancy, 0), abs=1e-8)
    apart = multivariate_normal(values.mean(axis=0), implied(S, edges, joined=False))
    assert fit.bic == pytest.approx(-2 * apart.logpdf(values).sum() + (edges.sum() + p) * np.log(rows), rel=1e-10)
    assert 0 <= fit.cfi <= 1
    assert (fit.df == 0) == np.isnan(fit.p_value) == np.isnan(fit.rmsea)


@pytest.mark.parametrize("seed", range(3))
def test_semopy_says_the_same(seed: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import semopy

        values, edges = world(5, 2, 3 * seed, rows=300)
        names = [f"v{index}" for index in range(5)]
        lines = [
            f"{names[effect]} ~ " + " + ".join(names[cause] for cause in np.flatnonzero(parents))
            for effect, parents in enumerate(edges)
            if parents.any()
        ]
        table = pd.DataFrame(values, columns=names)
        # semopy only knows variables that some line names.
        used = [name for name in names if any(name in line for line in lines)]
        model = semopy.Model("\n".join(lines))
        model.fit(table[used])
        other = semopy.calc_stats(model).loc["Value"]
    kept = [names.index(name) for name in used]
    edges = edges[np.ix_(kept, kept)]
    covariance = np.cov(table[used].to_numpy().T, ddof=0)
    fit = fit_indices(covariance, edges, 300, saturated_exogenous=False)
    assert fit is not None
    assert fit.df == other["DoF"]
    assert fit.chi2 == pytest.approx(other["chi2"], abs=1e-3)
    assert fit.p_value == pytest.approx(other["chi2 p-value"], abs=1e-4)
    # semopy gives its independence model a degree of freedom too many for each exogenous variable, and clips nothing.
    baseline = other["chi2 Baseline"] - len(used) * (len(used) - 1) / 2
    assert other["DoF Baseline"] == len(used) * (len(used) - 1) / 2 + (~edges.any(axis=1)).sum()
    assert fit.cfi == pytest.approx(1 - max(other["chi2"] - fit.df, 0) / baseline, abs=1e-5)
    assert fit.rmsea == pytest.approx(other["RMSEA"], abs=1e-4)


def test_under_the_true_graph_chi2_is_distributed_as_it_should_be() -> None:
    weights, order = random_dag(5, 2, 0)
    fits = [
        fit_indices(np.cov(linear_sem(weights, order, 400, "gaussian", seed).T, ddof=0), weights != 0, 400)
        for seed in range(300)
    ]
    values = [fit.chi2 for fit in fits if fit is not None]
    degrees = {fit.df for fit in fits if fit is not None}
    assert len(values) == 300
    assert len(degrees) == 1
    assert kstest(values, chi2(degrees.pop()).cdf).pvalue > 0.01


def test_units_do_not_matter_to_the_fit() -> None:
    values, edges = world(6, 3, 5)
    plain = fit_indices(np.cov(values.T, ddof=0), edges, 60)
    scaled = fit_indices(np.cov((values * 10.0 ** np.arange(-6, 6, 2)).T, ddof=0), edges, 60)
    assert plain is not None
    assert scaled is not None
    assert (scaled.chi2, scaled.cfi, scaled.rmsea) == pytest.approx((plain.chi2, plain.cfi, plain.rmsea), abs=1e-8)


def test_a_complete_graph_fits_exactly_and_a_singular_table_has_no_fit() -> None:
    values, _ = world(3, 2, 0)
    fit = fit_indices(np.cov(values.T, ddof=0), np.tri(3, k=-1, dtype=bool), 60)
    assert fit is not None
    assert (fit.df, fit.cfi) == (0, 1)
    assert fit.chi2 == pytest.approx(0, abs=1e-10)
    values[:, 2] = values[:, 0] - values[:, 1]
    assert fit_indices(np.cov(values.T, ddof=0), np.tri(3, k=-1, dtype=bool), 60) is None
    values[:, 2] = 5.0
    assert fit_indices(np.cov(values.T, ddof=0), np.tri(3, k=-1, dtype=bool), 60) is None


@pytest.mark.parametrize(
    ("edges", "rows", "rule"),
    [
        (np.array([[0, 1], [1, 0]], dtype=bool), 9, "no cycle"),
        (np.zeros((3, 3), dtype=bool), 9, "square and of one shape"),
        (np.zeros((2, 2), dtype=bool), 1, "rows must be at least 2"),
    ],
)
def test_what_cannot_be_scored_is_refused(edges: np.ndarray, rows: int, rule: str) -> None:
    with pytest.raises(InputError, match=rule):
        fit_indices(np.eye(2), edges, rows)


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("name", "chi_square", "degrees"),
    [("auto_mpg", 135.11, (5, 6)), ("dwd_climate", 72.95, (6, 12)), ("sachs", 5292.74, (36, 37))],
)
def test_the_agreed_graphs_have_their_known_fit(name: str, chi_square: float, degrees: tuple[int, int]) -> None:
    if not (DATA / "causal" / f"{name}.csv").exists():
        pytest.skip(f"no test table causal/{name}.csv; set KINTSUGI_TEST_DATA to its folder")
    table = pd.read_csv(DATA / "causal" / f"{name}.csv")
    truth = np.loadtxt(DATA / "causal" / f"{name}_truth.csv", delimiter=",") != 0
    fits = [fit_indices(np.cov(table.T, ddof=0), truth, len(table), saturated) for saturated in (True, False)]
    assert [fit.df for fit in fits if fit] == list(degrees)
    assert all(fit is not None and fit.chi2 == pytest.approx(chi_square, abs=0.005) for fit in fits)
    known = {"auto_mpg": (0.944, 0.235), "dwd_climate": (0.961, 0.121), "sachs": (0.938, 0.138)}[name]
    assert fits[1] is not None
    assert (fits[1].cfi, fits[1].rmsea) == pytest.approx(known, abs=5e-4)
