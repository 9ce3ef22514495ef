"""Contracts as tables for people: artifacts, reports and the terminal show the same rows."""

from collections.abc import Iterable, Sequence

import pandas as pd

from components.contracts import DriftReport, Scorecard
from components.evaluation import METRICS, GateResult


def drift_table(reports: Sequence[DriftReport]) -> pd.DataFrame:
    """One row a batch: what moved, how far, and what was done."""
    return pd.DataFrame(
        [
            {
                "batch": report.batch,
                "shift": report.kind,
                "divergence": round(report.statistic, 4),
                "p": round(report.p_value, 4),
                "outside support": round(report.outside, 4),
                "class prior before": round(report.prior_before, 4),
                "class prior after": round(report.prior_after, 4),
                "moved most": ", ".join(column.name for column in report.columns[:3]),
                "action": report.action,
            }
            for report in reports
        ]
    )


def score_table(scorecard: Scorecard, batch: str = "all", known: Iterable[str] = METRICS) -> pd.DataFrame:
    """One row a model, one column for each of the ``known`` metrics that it has, over all rows of one batch."""
    frame = scorecard.frame()
    chosen = frame[(frame["slice"] == "all") & (frame["batch"] == batch)]
    table = chosen.pivot(index="model", columns="metric", values="value")
    return table.reindex(columns=[name for name in known if name in table]).reset_index()


def gate_table(gates: Sequence[GateResult]) -> pd.DataFrame:
    """One row a gate."""
    verdict = {(True, True): "passed", (False, True): "failed"}
    rows = [{"verdict": verdict.get((gate.passed, gate.judged), "not judged"), "gate": gate.sentence} for gate in gates]
    return pd.DataFrame(rows, columns=["verdict", "gate"])


def rows_of(frame: pd.DataFrame) -> list[dict[str, object]]:
    """A table as rows that a page can show."""
    return [{str(name): value for name, value in row.items()} for row in frame.to_dict("records")]
