"""A language model is prompted with what a survey found, through the whole flow: counted, traced, and replayed."""

import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from components.contracts import PriorKnowledge
from components.discovery import DirectLingam
from components.ports import in_order, silent
from components.priors import load_probes
from flows.configuration import Discover
from flows.discover import discover
from flows.forms import read_form
from flows.outcome import Outcome
from tasks.settings import Settings
from tasks.survey import standardised
from tasks.tracking import Tracking, open_tracking
from tests.flows.conftest import connected, surroundings
from tests.tasks.fake_endpoint import Body, FakeEndpoint, Reply, completion, refused, serving

NAMES = ("age", "dose", "pressure", "marker", "told")
EDGES = {("age", "pressure"), ("dose", "marker"), ("age", "told"), ("pressure", "told"), ("marker", "told")}
PATHS = EDGES | {("dose", "told")}
PROBES = {(probe.cause, probe.effect): probe.true for probe in load_probes()}
ASKED = re.compile(r"intervened and changed (\w+), would that change (\w+), directly( or by way|, and not)")
PROBED = re.compile(r"changes this: (.+)\. Would that intervention, .*, change this: (.+)\? Answer")
SCP = {"kind": "scp", "pattern": 2, "control": True, "theme": "visits", "budget": {"input_price": 1.0}}


def expert(number: int, body: Body) -> Reply:
    """Knows the world of the table, and nothing of V1, V2, ..."""
    prompt = body["messages"][0]["content"]
    if body["max_tokens"] > 1:
        return completion(f"I know of {number % 3} reasons.", tokens=(200, 20))
    found, probed = ASKED.findall(prompt), PROBED.search(prompt)
    if probed:
        true = PROBES[probed[1], probed[2]]
    else:
        cause, effect, kind = found[-1]
        if cause not in NAMES:
            return completion("Yes", {"Yes": 0.45, "No": 0.45}, tokens=(300, 1))
        true = (cause, effect) in (PATHS if "way" in kind else EDGES)
    return completion("Yes", {"Yes": 0.97, "No": 0.01} if true else {"Yes": 0.01, " no": 0.97}, tokens=(300, 1))


@dataclass(frozen=True)
class Site:
    """A home folder with a table, and how runs are started in it."""

    home: Path
    run: Callable[..., Outcome]
    tracking: Tracking

    def stages(self) -> dict[str, Any]:
        """The latest run of each stage."""
        found = self.tracking.client.search_runs([self.tracking.experiment_id], order_by=["attributes.start_time ASC"])
        return {run.info.run_name: run for run in found}

    def table(self, run: Any, name: str) -> pd.DataFrame:
        path = self.tracking.client.download_artifacts(run.info.run_id, name)
        return pd.read_csv(path)


@pytest.fixture(scope="module")
def site(prefect_url: str, empty_store: Path, toy: Any, tmp_path_factory: pytest.TempPathFactory) -> Site:
    folder = tmp_path_factory.mktemp("prompted")
    home = folder / "kintsugi"
    home.mkdir()
    shutil.copy(empty_store, home / "mlflow.db")
    specification = toy.write(folder / "table", toy.visits())
    (specification.parent / "knowledge.yaml").write_text("exogenous: [age]\n")

    def run(elicitation: dict[str, Any], **settings: str) -> Outcome:
        values = {
            "source": {"specification": str(specification)},
            "elicitation": elicitation,
            "discovery": {"replicates": 6},
        }
        with pytest.MonkeyPatch.context() as patch, surroundings(home), connected(prefect_url):
            for name, value in settings.items():
                patch.setenv(f"KINTSUGI_{name.upper()}", value)
            return discover(read_form(Discover, values))

    return Site(home, run, open_tracking(Settings(home=home), "kintsugi-toy"))


@pytest.fixture(scope="module")
def endpoint() -> Iterator[FakeEndpoint]:
    with serving() as fake:
        fake.script = expert
        yield fake


@pytest.fixture(scope="module")
def prompted(site: Site, endpoint: FakeEndpoint) -> dict[str, Any]:
    """The stages of a run that asked the expert."""
    site.run(SCP, llm="endpoint", llm_base_url=endpoint.url, llm_model="expert", llm_threads="4")
    return site.stages()


def test_every_question_goes_out_once_and_is_counted(prompted: dict[str, Any], endpoint: FakeEndpoint) -> None:
    calls = 38 + 2 * 2 * 2 * 20  # probes; named and renamed, path and edge, explanation and verdict, ordered pairs
    assert len(endpoint.bodies) == calls
    metrics = prompted["elicit"].data.metrics
    free = sum(body["max_tokens"] > 1 for body in endpoint.bodies)
    tokens = {"llm_prompt_tokens": 200 * free + 300 * (calls - free), "llm_answer_tokens": 20 * free + calls - free}
    expected = {"llm_calls": calls, "llm_failed_calls": 0, "llm_recalled": 0, "pairs_asked": 40, "pairs_remaining": 0}
    assert {name: metrics[name] for name in expected | tokens} == expected | tokens
    assert metrics["llm_cost"] == pytest.approx(tokens["llm_prompt_tokens"] / 1e6)
    assert metrics["renamed_claims_kept"] == 0
    assert metrics["strength"] == 1


def test_the_survey_comes_first_and_its_numbers_stand_in_the_prompts(
    prompted: dict[str, Any], endpoint: FakeEndpoint, site: Site
) -> None:
    assert prompted["survey"].info.end_time <= prompted["elicit"].info.start_time
    edges = site.table(prompted["survey"], "survey_edges.csv")
    prompts = [body["messages"][0]["content"] for body in endpoint.bodies if body["max_tokens"] > 1]
    named = [prompt for prompt in prompts if "Theme: visits" in prompt]
    assert len(named) == len(prompts) / 2
    for edge in edges.itertuples():
        line = f"- {edge.cause} -> {edge.effect}: frequency {edge.support:.2f}"
        assert all((line in prompt) == (edge.support > 0) for prompt in named)
        assert not any(f"{edge.cause} -> " in prompt for prompt in prompts if prompt not in named)


def test_what_it_says_is_used_shown_and_traced(prompted: dict[str, Any], site: Site) -> None:
    run = prompted["elicit"]
    for file, truth in (("probability.csv", PATHS), ("edge_probability.csv", EDGES)):
        table = site.table(run, file).set_index("effect")
        likely = {(cause, effect) for effect, row in table.iterrows() for cause, value in row.items() if value > 0.95}
        assert likely == truth
    evidence = site.table(run, "evidence.csv")
    people = evidence[evidence["source"] == "person"]
    assert set(people["effect"]) == {"age"}
    assert set(evidence.loc[evidence["claim"] == "required edge", "source"]) == {"expert"}
    picture = site.tracking.client.download_artifacts(run.info.run_id, "elicited.png")
    assert len(np.unique(np.asarray(Image.open(picture).convert("L")))) > 20
    traces = site.tracking.client.search_traces(locations=[site.tracking.experiment_id])
    mine = [trace for trace in traces if trace.info.trace_metadata["mlflow.sourceRun"] == run.info.run_id]
    spans = [span for trace in mine for span in trace.data.spans if span.span_type == "CHAT_MODEL"]
    assert len(spans) == run.data.metrics["llm_calls"]
    graph = site.table(prompted["discover"], "edges.csv")
    assert {(row.cause, row.effect) for row in graph.itertuples()} == EDGES


def test_a_changed_method_asks_only_what_is_new(site: Site, prompted: dict[str, Any], endpoint: FakeEndpoint) -> None:
    before = len(endpoint.bodies)
    given = {"llm": "endpoint", "llm_base_url": endpoint.url, "llm_model": "expert"}
    site.run({**SCP, "required_above": 0.9, "control": False}, **given)
    assert len(endpoint.bodies) == before
    metrics = site.stages()["elicit"].data.metrics
    assert (metrics["llm_calls"], metrics["llm_recalled"]) == (0, 38 + 80)


def test_its_transcript_replays_the_run_without_a_model(site: Site, prompted: dict[str, Any], tmp_path: Path) -> None:
    run = prompted["elicit"]
    transcript = site.tracking.client.download_artifacts(run.info.run_id, "answers.jsonl", str(tmp_path))
    kept = Path(transcript).read_bytes()
    site.run(SCP, llm="transcript", llm_transcript=transcript)
    again = site.stages()["elicit"]
    assert again.info.run_id != run.info.run_id
    assert again.data.metrics["llm_calls"] == 0
    for file in ("probability.csv", "edge_probability.csv", "evidence.csv"):
        pd.testing.assert_frame_equal(site.table(run, file), site.table(again, file))
    assert Path(transcript).read_bytes() == kept


def test_a_spent_budget_is_told_and_a_larger_one_goes_on(site: Site, endpoint: FakeEndpoint) -> None:
    given = {"llm": "endpoint", "llm_base_url": endpoint.url, "llm_model": "another expert", "llm_threads": "1"}
    plain = {"kind": "scp", "pattern": 0}
    before = len(endpoint.bodies)
    told = dict(site.run({**plain, "budget": {"most_calls": 51}}, **given).lines)["knowledge"]
    assert len(endpoint.bodies) - before == 51
    assert any(line.startswith("34 questions remain unanswered") and "run again" in line for line in told)
    run = site.stages()["elicit"]
    assert run.data.metrics["pairs_remaining"] == 40 - 6
    remaining = site.table(run, "remaining.csv")["remaining"]
    assert len(remaining) == 34
    assert remaining.str.endswith("the budget was spent").all()
    site.run({**plain, "budget": {"most_calls": 51}}, **given)
    assert len(endpoint.bodies) - before == 102, "an unfinished stage is not taken for a finished one"
    site.run(plain, **given)
    assert len(endpoint.bodies) - before == 38 + 80
    assert site.stages()["elicit"].data.metrics["pairs_remaining"] == 0
    edges = {**plain, "ask_for": "edges", "theme": "edges alone", "budget": {"most_calls": 9}}
    begun = len(endpoint.bodies)
    for calls in (9, 18):
        site.run(edges, **given)
        assert len(endpoint.bodies) - begun == calls, "edges alone are no more finished than paths"


def test_a_model_that_fails_in_the_middle_loses_nothing(site: Site, endpoint: FakeEndpoint) -> None:
    given = {"llm": "endpoint", "llm_base_url": endpoint.url, "llm_model": "a third", "llm_retries": "0"}
    plain, before = {"kind": "scp", "pattern": 0}, len(endpoint.bodies)
    endpoint.script = lambda number, body: expert(number, body) if number - before < 60 else refused(500)
    with pytest.raises(Exception, match="replied with status 500, tried once"):
        site.run(plain, **given, llm_threads="1")
    assert site.stages()["elicit"].info.status == "FAILED"
    endpoint.script = expert
    site.run(plain, **given, llm_threads="4")
    assert len(endpoint.bodies) - before == 38 + 80 + 1
    assert site.stages()["elicit"].data.metrics["llm_recalled"] == 60


def test_nobody_is_surveyed_for_nobody(site: Site) -> None:
    before = site.stages()["survey"].info.run_id
    site.run({**SCP, "theme": "nobody"}, llm="none")
    assert site.stages()["survey"].info.run_id == before
    assert "probability.csv" not in [
        file.path for file in site.tracking.client.list_artifacts(site.stages()["elicit"].info.run_id)
    ]


def test_a_survey_speaks_in_standard_deviations() -> None:
    rng = np.random.default_rng(0)
    dose = rng.exponential(20.0, 400) + 1
    table = pd.DataFrame({"dose": dose, "pressure": 0.03 * dose + rng.laplace(0, 0.3, 400)})
    method, nothing = DirectLingam(replicates=3, log_skewness=0), PriorKnowledge.unknown(("dose", "pressure"))
    graph = method.discover(table, nothing, "pressure", in_order, silent)
    wanted = method.discover(table / table.std(ddof=0), nothing, "pressure", in_order, silent)
    assert graph.weights[1, 0] == pytest.approx(0.03, rel=0.2)
    found = standardised(graph, table.std(ddof=0).tolist())
    for field in ("weights", "total", "total_low", "total_high"):
        np.testing.assert_allclose(getattr(found, field), getattr(wanted, field), atol=1e-9)
