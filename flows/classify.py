"""A classifier from weak labels of any kind: ingest, train, evaluate, register, report."""

from typing import cast

from prefect import flow

from flows.champion import reigning_classifier
from flows.configuration import Classify, ClassifyForm
from flows.forms import build
from flows.inputs import read_labels
from flows.outcome import Outcome, classifier_lines, classifier_rows, table_lines, verdict_lines
from flows.runner import runner
from tasks.assess_classifier import score_classifier
from tasks.ingest import ingest_table
from tasks.register_classifier import predictor_digest, register_classifier
from tasks.settings import load_settings
from tasks.tell_classifier import tell_classifier
from tasks.train_classifier import train_classifier
from tasks.workspace import open_workspace


@flow(name="classify", flow_run_name="classify {config.source.specification}", task_runner=runner())
def classify(config: ClassifyForm = ClassifyForm()) -> Outcome:  # noqa: B008  # a frozen form
    """From a table whose labels say only part of the truth to a registered classifier and a report.

    It becomes champion when it is better than a constant and no worse than the champion on the same held rows.
    """
    plan = cast(Classify, build(config))
    inputs = read_labels(plan)
    specification = inputs.specification
    with open_workspace("classify", specification.name, load_settings(), plan) as work:
        name = plan.model or f"kintsugi-{specification.name}-classifier"
        reigning_classifier(name, inputs.classes, specification.declared, work)  # refused before the work
        data = ingest_table.submit(work, specification, plan.source.seed).result()
        batches = [batch.index for batch in data[0].batches][-plan.batches :]
        learnt = train_classifier.submit(work, plan.training, data[0], batches, inputs.classes).result()
        digest = predictor_digest(learnt.predictor)
        reigning, version = reigning_classifier(name, inputs.classes, specification.declared, work, digest)
        assessed = score_classifier.submit(work, data, learnt, reigning, batches).result()
        model = register_classifier.submit(work, name, data[0], learnt, assessed, version).result()
        report = tell_classifier.submit(work, data[0], learnt, assessed, model).result()
        lines = (
            ("data", table_lines(data[0], learnt)),
            ("training", classifier_lines(learnt)),
            ("verdict", verdict_lines(assessed, model)),
        )
        uri = f"models:/{model.name}@{model.alias}"
        rows = classifier_rows(assessed.scorecard)
        return Outcome(lines, rows, (), uri, str(report), str(work.folder), work.seconds())
