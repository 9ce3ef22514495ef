"""How a flow that starts from the champion ends: scored, judged, registered, told; or with nothing to judge."""

from dataclasses import dataclass

from components.assessment import Chain
from components.contracts import Dataset, EvaluationLabels
from components.evaluation import Evaluation, Gate
from components.predictor import Predictor
from flows.outcome import Outcome, chain_lines, data_lines, gate_lines, ladder_rows, score_rows
from tasks.artifacts import publish_markdown
from tasks.evaluate import evaluate_chain
from tasks.register import register_model
from tasks.report import Told, write_report
from tasks.workspace import Workspace


@dataclass(frozen=True, eq=False)
class Contest:
    """What a challenger is up against.

    Attributes:
        model: Name in the registry.
        champion: The reigning model.
        version: Its version; empty when there is none.
        gates: What a challenger must show.
    """

    model: str
    champion: Predictor | None
    version: str
    gates: tuple[Gate, ...]


def close(
    work: Workspace,
    method: Evaluation,
    data: tuple[Dataset, EvaluationLabels | None],
    chain: Chain,
    contest: Contest,
    title: str,
) -> Outcome:
    """Evaluate what ``chain`` ends in, register it, write the report; the summary tells the chain under ``title``."""
    dataset, _ = data
    judged = evaluate_chain.submit(work, method, data, chain, contest.champion, contest.gates).result()
    model = register_model.submit(work, contest.model, dataset, chain, judged, contest.version, None).result()
    report = write_report.submit(work, Told(dataset, None, None, chain, *judged, model)).result()
    assessed, verdicts = judged
    lines = (
        ("data", data_lines(dataset)),
        (title, chain_lines(chain)),
        ("gates", gate_lines(verdicts, model)),
    )
    uri = f"models:/{model.name}@{model.alias}"
    return Outcome(
        lines, score_rows(assessed), ladder_rows(assessed), uri, str(report), str(work.folder), work.seconds()
    )


def stay(work: Workspace, dataset: Dataset, champion: str, title: str, why: str) -> Outcome:
    """What is told where there is nothing to judge: the champion stays, and no version is made."""
    stays = f"{champion} stays champion; no version was made"
    publish_markdown("outcome", f"{why}\n\n{stays}", "Why there is no new version.")
    lines = (("data", data_lines(dataset)), (title, (why, stays)))
    return Outcome(lines, (), (), "", "", str(work.folder), work.seconds())
