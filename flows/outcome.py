"""What a flow hands back: small values that a command line can print and a scheduler can store."""

from dataclasses import dataclass

from components.assessment import STEPS, Assessed, Chain
from components.classification import LearntClassifier
from components.classification_assessment import AssessedClassifier
from components.contracts import CausalGraph, Dataset, PriorKnowledge, Scorecard
from components.evaluation import BASELINES, OURS, GateResult
from tasks.registry import RegisteredModel

SHOWN = {
    "log_loss": "log loss",
    "brier": "Brier",
    "calibration_error": "calibration",
    "prevalence_bias": "prevalence",
    "auc": "AUC",
    "average_precision": "precision",
}


@dataclass(frozen=True)
class Outcome:
    """The summary of a run.

    Attributes:
        lines: Title to sentences, in the order they are told.
        scores: Header and rows of the scorecard, as text.
        ladder: Header and rows of the steps of the chain, as text.
        uri: Where the model is in the registry; empty when none was registered.
        report: Path of the report; empty when none was written.
        folder: Folder of pictures and tables.
        timings: Stage to seconds.
    """

    lines: tuple[tuple[str, tuple[str, ...]], ...]
    scores: tuple[tuple[str, ...], ...]
    ladder: tuple[tuple[str, ...], ...]
    uri: str
    report: str
    folder: str
    timings: tuple[tuple[str, float], ...]


def data_lines(dataset: Dataset) -> tuple[str, ...]:
    """The dataset in a few sentences."""
    if not dataset.labelled:
        return (f"{dataset.rows:,} rows, no label", *dataset.notes)
    positives = sum(batch.positives for batch in dataset.batches)
    first = (
        f"{dataset.rows:,} rows in {len(dataset.batches)} batches ({', '.join(b.label for b in dataset.batches)}), "
        f"{positives:,} labeled positive ({positives / dataset.rows:.1%})"
    )
    return (first, *dataset.notes)


def knowledge_lines(knowledge: PriorKnowledge) -> tuple[str, ...]:
    """Who knew what, and how far the language model was trusted."""
    people = sum(claim.source == "person" for claim in knowledge.evidence)
    lines = [f"{people} claims of a person, {len(knowledge.evidence) - people} of a language model are used"]
    if (found := knowledge.reliability) is not None:
        verdict = "its answers get no weight" if found.strength == 0 else f"its answers weigh {found.strength:.2f}"
        interval = f"[{found.low:.2f}, {found.high:.2f}]"
        lines.append(f"{found.model}: AUC {found.auc:.2f} {interval} on {found.probes} probes; {verdict}")
    if knowledge.remaining:
        first = f"the first is {knowledge.remaining[0]}"
        lines.append(f"{len(knowledge.remaining)} questions remain unanswered, {first}; run again to ask them")
    return (*lines, *knowledge.conflicts)


def graph_lines(graph: CausalGraph) -> tuple[str, ...]:
    """The graph around the target."""
    effects = graph.descendants(graph.target)
    near = [
        f"{row.cause} → {row.effect}" for row in graph.edges().itertuples() if graph.target in (row.cause, row.effect)
    ]
    return (
        f"{int((graph.weights != 0).sum())} edges among {len(graph.names)} variables, {graph.replicates} replicates, "
        f"{graph.rows:,} complete rows",
        f"causes of {graph.target}: {', '.join(sorted(graph.ancestors(graph.target))) or 'none'}",
        f"effects of {graph.target}: {', '.join(sorted(effects)) or 'none'}",
        f"direct: {'; '.join(near) or 'none'}",
        *_open_pairs(graph),
    )


def _open_pairs(graph: CausalGraph) -> tuple[str, ...]:
    """The pairs without a direction, and how well the graph fits, where there is something to say."""
    lines = [
        f"{title}: {'; '.join(' and '.join(pair) for pair in pairs)}"
        for title, pairs in (("hidden common cause", graph.confounded), ("direction open", graph.undirected))
        if pairs
    ]
    fit = graph.findings.fit
    if fit is not None:
        lines.append(
            f"fit: chi2 {fit.chi2:.1f} on {fit.df} degrees of freedom, CFI {fit.cfi:.3f}, RMSEA {fit.rmsea:.3f}"
        )
    return tuple(lines)


def chain_lines(chain: Chain) -> tuple[str, ...]:
    """The corrections and updates."""
    lines: list[str] = []
    if chain.trained is not None:
        correction = chain.trained.correction
        prior = correction.class_prior
        lines += [
            f"{correction.kind} shift, towards {correction.target}: {correction.reason}",
            f"class prior {prior.value:.3f} [{prior.low:.3f}, {prior.high:.3f}] by {prior.source}, "
            f"{correction.target_prior.value:.3f} in the target",
            f"effective sample share {correction.effective_share:.2f}, divergence {correction.divergence:.3f}",
        ]
    for entry in chain.absorbed:
        found = "no shift" if entry.drift.kind == "none" else f"{entry.drift.kind} shift"
        lines.append(f"{entry.drift.batch}: {found}, {entry.note or entry.drift.action}")
    moved = sum(tuned.moved for tuned in chain.tuned)
    return (*lines, f"tuning moved the posterior after {moved} of {len(chain.tuned)} batches")


def gate_lines(gates: tuple[GateResult, ...], model: RegisteredModel) -> tuple[str, ...]:
    """The verdict, and every gate that failed."""
    failed = [gate.sentence for gate in gates if gate.judged and not gate.passed]
    judged = sum(gate.judged for gate in gates)
    return (f"{model.alias}: {judged - len(failed)} of {judged} gates passed", *failed)


def table_lines(dataset: Dataset, learnt: LearntClassifier) -> tuple[str, ...]:
    """The table a classifier learnt from, in a few sentences."""
    batches = ", ".join(batch.label for batch in dataset.batches if batch.index in learnt.batches)
    what = f"{dataset.rows:,} rows in {len(dataset.batches)} batches; learnt from {batches}"
    return (what, f"label {learnt.coding.column.name}, read as {learnt.coding.setting.kind}", *dataset.notes)


def classifier_lines(learnt: LearntClassifier) -> tuple[str, ...]:
    """What the labels left open, and which epoch was kept."""
    found = [
        f"{name} {each.value:.3f}"
        + (f" [{each.low:.3f}, {each.high:.3f}]" if each.low < each.high else "")
        + f", {each.source}"
        for name, each in learnt.nuisances().items()
    ]
    reached = ", ".join(f"{name.replace('_', ' ')} {value:.4f}" for name, value in learnt.history[learnt.epoch].items())
    return (*found, f"epoch {learnt.epoch + 1} of {len(learnt.history)} was kept: {reached}", *learnt.notes)


def verdict_lines(assessed: AssessedClassifier, model: RegisteredModel) -> tuple[str, ...]:
    """What the comparisons say."""
    passed = sum(verdict.passed for verdict in assessed.verdicts)
    return (
        f"{model.alias}: {passed} of {len(assessed.verdicts)} conditions are met",
        *(verdict.sentence for verdict in assessed.verdicts),
    )


def classifier_rows(card: Scorecard) -> tuple[tuple[str, ...], ...]:
    """Scores over all held rows: ours with its 95 % intervals beneath, then the others."""
    scores = {(s.model, s.metric): s for s in card.scores if s.batch == "all"}
    names = list(dict.fromkeys(metric for _, metric in scores))
    rows = [("held rows", *(name.replace("_", " ") for name in names))]
    for model in dict.fromkeys(model for model, _ in scores):
        cells = [scores.get((model, name)) for name in names]
        rows.append((model, *(f"{cell.value:.4f}" if cell else "" for cell in cells)))
        if model == OURS:
            rows.append(("  95 %", *(f"{cell.low:.3f} to {cell.high:.3f}" if cell else "" for cell in cells)))
    return tuple(rows)


def score_rows(assessed: Assessed) -> tuple[tuple[str, ...], ...]:
    """The scorecard over all scored rows: ours with its 95 % intervals beneath, then the others."""
    scores = {(s.model, s.metric): s for s in assessed.scorecard.scores if (s.batch, s.slice) == ("all", "all")}
    rows = [("held rows", *SHOWN.values())]
    for model in dict.fromkeys(model for model, _ in scores):
        cells = [scores[model, name] for name in SHOWN]
        rows.append((model, *(f"{cell.value:.4f}" for cell in cells)))
        if model == OURS:
            rows.append(("  95 %", *(f"{cell.low:.3f} to {cell.high:.3f}" for cell in cells)))
    return tuple(rows)


def ladder_rows(assessed: Assessed) -> tuple[tuple[str, ...], ...]:
    """Log loss of every step of the chain on every batch."""
    scores = {
        (s.model, s.batch): s.value for s in assessed.ladder.scores if s.metric == "log_loss" and s.slice == "all"
    }
    batches = [batch for batch in dict.fromkeys(batch for _, batch in scores) if batch != "all"]
    models = [model for model in (*STEPS, *BASELINES) if (model, "all") in scores]
    rows = [("log loss", *batches, "all")]
    rows += [(model, *(f"{scores[model, batch]:.4f}" for batch in (*batches, "all"))) for model in models]
    return tuple(rows)
