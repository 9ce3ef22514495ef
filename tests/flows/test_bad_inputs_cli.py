"""What a person can give wrongly: one sentence, the right exit code, and nothing left behind."""

import copy
import http.server
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from tasks.servers import PrefectServer, free_port

PASSWORD = "correct-horse"


class Bench:
    """A good table, specification and folder, to be spoilt in one place."""

    def __init__(self, folder: Path, toy: Any, setenv: Callable[[str, str], None]) -> None:
        self.folder, self.toy, self.setenv = folder, toy, setenv
        self.frame: pd.DataFrame = toy.visits((2016, 2017), (60, 60))
        self.said: dict[str, Any] = copy.deepcopy(toy.specification)

    def run(self, *arguments: object, command: str = "run") -> list[object]:
        path = self.toy.write(self.folder / "table", self.frame, **self.said)
        return [command, "--data", path, "--llm", "none", *arguments]

    def column(self, name: str, **changes: Any) -> None:
        self.said["columns"][name] = self.said["columns"].get(name, {}) | changes

    def source(self, **source: Any) -> None:
        self.said["source"] = source

    def file(self, name: str, content: object) -> Path:
        path = self.folder / name
        path.write_text(content if isinstance(content, str) else yaml.safe_dump(content), encoding="utf-8")
        return path

    def table(self, text: str) -> list[object]:
        """The arguments for a table of just this text."""
        arguments = self.run()
        (self.folder / "table" / "visits.csv").write_text(text, encoding="utf-8")
        return arguments


Make = Callable[[Bench], list[object]]
CASES: dict[str, tuple[Make, tuple[str, ...], int]] = {}


def refused(*words: str, code: int = 2) -> Callable[[Make], Make]:
    """Register a call that must be refused with ``code`` and a sentence that holds ``words``."""

    def keep(make: Make) -> Make:
        assert make.__name__ not in CASES
        CASES[make.__name__] = make, words, code
        return make

    return keep


# The specification.


@refused("specification must be a YAML file or one of nhanes", "nowhere.yaml")
def the_specification_is_missing(bench: Bench) -> list[object]:
    return ["run", "--data", bench.folder / "nowhere.yaml", "--llm", "none"]


@refused("'nhane'", "did you mean 'nhanes'?")
def a_built_in_name_is_misspelt(bench: Bench) -> list[object]:
    return ["run", "--data", "nhane", "--llm", "none"]


@refused("must be YAML", "bad.yaml")
def the_specification_is_no_yaml(bench: Bench) -> list[object]:
    return ["run", "--data", bench.file("bad.yaml", "name: [toy"), "--llm", "none"]


@refused("must hold keys and values", "list")
def the_specification_is_a_list(bench: Bench) -> list[object]:
    return ["run", "--data", bench.file("list.yaml", "- name"), "--llm", "none"]


@refused("key 'colums' in the specification is not known", "did you mean 'columns'?")
def a_key_is_misspelt(bench: Bench) -> list[object]:
    bench.said["colums"] = {}
    return bench.run()


@refused("key 'pth' in source is not known", "did you mean 'path'?")
def a_key_of_the_source_is_misspelt(bench: Bench) -> list[object]:
    bench.source(kind="csv", pth="visits.csv")
    return bench.run()


@refused("key 'rol' in columns.age is not known", "did you mean 'role'?")
def a_key_of_a_column_is_misspelt(bench: Bench) -> list[object]:
    bench.column("age", rol="feature")
    return bench.run()


@refused("key 'vlaue' in label_frequency is not known", "did you mean 'value'?")
def a_key_of_the_label_frequency_is_misspelt(bench: Bench) -> list[object]:
    bench.said["label_frequency"]["vlaue"] = 0.5
    return bench.run()


@refused("label_frequency.value", "1.5")
def a_label_frequency_is_above_one(bench: Bench) -> list[object]:
    bench.said["label_frequency"]["value"] = 1.5
    return bench.run()


@refused("key 'by_column' in batches is not known")
def a_key_of_the_batches_is_misspelt(bench: Bench) -> list[object]:
    bench.said["batches"] = {"by": "year", "by_column": "year"}
    return bench.run()


@refused("columns.age.role must be one of", "'featur'", "did you mean 'feature'?")
def a_role_is_unknown(bench: Bench) -> list[object]:
    bench.column("age", role="featur")
    return bench.run()


@refused("columns.age.kind must be one of", "'numeric'")
def a_kind_is_unknown(bench: Bench) -> list[object]:
    bench.column("age", kind="numeric")
    return bench.run()


@refused("source.kind must be one of csv, parquet, sql, nhanes", "'excel'")
def a_kind_of_source_is_unknown(bench: Bench) -> list[object]:
    bench.source(kind="excel", path="visits.xlsx")
    return bench.run()


@refused("name", "'Toy Data!'")
def the_name_has_spaces(bench: Bench) -> list[object]:
    bench.said["name"] = "Toy Data!"
    return bench.run()


@refused("exactly one of role weak_label, got 2", "told, region_told")
def two_columns_are_weak_labels(bench: Bench) -> list[object]:
    bench.frame["region_told"] = bench.frame["told"]
    bench.column("region_told", role="weak_label", kind="flag")
    return bench.run()


@refused("exactly one of role weak_label, got 0 (none)")
def no_column_is_the_weak_label(bench: Bench) -> list[object]:
    bench.column("told", role="ignored")
    return bench.run()


@refused("at least one of role feature, got none")
def no_column_is_a_feature(bench: Bench) -> list[object]:
    for name in bench.toy.predictors:
        bench.column(name, role="ignored")
    return bench.run()


@refused("minimum of column 'age' must not exceed its maximum", "30", "20")
def a_minimum_exceeds_its_maximum(bench: Bench) -> list[object]:
    bench.column("age", minimum=30, maximum=20)
    return bench.run()


@refused("batches must be declared", "role time")
def there_is_neither_time_nor_batches(bench: Bench) -> list[object]:
    bench.column("year", role="ignored")
    return bench.run()


@refused("batches.by", "'yaer'")
def batches_follow_an_unknown_column(bench: Bench) -> list[object]:
    bench.said["batches"] = {"by": "yaer"}
    return bench.run()


@refused("evaluation label", "'secret_truth'")
def keep_looks_at_the_evaluation_label(bench: Bench) -> list[object]:
    bench.said["keep"] = [{"column": "secret_truth", "equals": 1}]
    return bench.run()


# A plain table, of which a graph is made.


def plain(bench: Bench, text: str, *arguments: object) -> list[object]:
    return ["discover", "--data", bench.file("plain.csv", text), "--llm", "none", *arguments]


NUMBERS = "a,b,c\n" + "".join(f"{k},{k * k % 7},{k * 3 % 11}\n" for k in range(40))


@refused("column 'b' must hold numbers", "'red'", "--set 'source.columns=[a, c]'")
def a_plain_table_holds_text(bench: Bench) -> list[object]:
    return plain(bench, NUMBERS.replace("5,4,4", "5,red,4"))


@refused("source.columns must name columns", "'d'", "a, b, c")
def a_chosen_column_is_not_in_the_plain_table(bench: Bench) -> list[object]:
    return plain(bench, NUMBERS, "--set", "source.columns=[a, d]")


@refused("at least one feature", "two without a label")
def a_plain_table_has_one_column(bench: Bench) -> list[object]:
    return plain(bench, NUMBERS, "--set", "source.columns=[a]")


@refused("name each column once", "'a' 2 times")
def a_plain_table_names_a_column_twice(bench: Bench) -> list[object]:
    return plain(bench, NUMBERS.replace("a,b,c", "a,b,a"))


@refused("target must be a variable of the graph", "'z'", "a, b, c")
def the_target_is_not_in_the_plain_table(bench: Bench) -> list[object]:
    return plain(bench, NUMBERS, "--target", "z")


@refused("must describe the table in YAML where a model is trained", "kintsugi discover")
def a_plain_table_is_to_train_a_model(bench: Bench) -> list[object]:
    return ["run", *plain(bench, NUMBERS)[1:]]


@refused("source.columns is for plain tables", "toy.yaml")
def columns_are_chosen_of_a_described_table(bench: Bench) -> list[object]:
    return bench.run("--set", "source.columns=[age]", command="discover")


@refused("must have at least one row")
def a_plain_table_is_empty(bench: Bench) -> list[object]:
    return plain(bench, "a,b,c\n")


@refused("column 'a' must be finite", "inf")
def a_plain_table_holds_infinity(bench: Bench) -> list[object]:
    return plain(bench, NUMBERS.replace("\n7,0,10", "\ninf,0,10"))


# The table.


@refused("source.path", "found nothing", "gone.csv")
def the_table_is_missing(bench: Bench) -> list[object]:
    bench.source(kind="csv", path="gone.csv")
    return bench.run()


@refused("found nothing", "elsewhere.csv")
def the_table_given_by_hand_is_missing(bench: Bench) -> list[object]:
    return bench.run("--source", bench.folder / "elsewhere.csv")


@refused("pattern", "visits-*.csv", "matches none")
def a_pattern_matches_nothing(bench: Bench) -> list[object]:
    bench.source(kind="csv", path="visits-*.csv")
    return bench.run()


@refused("visits.csv is empty")
def the_table_is_empty(bench: Bench) -> list[object]:
    return bench.table("")


@refused("at least one row", "header")
def the_table_has_a_header_only(bench: Bench) -> list[object]:
    return bench.table(",".join(bench.frame) + "\n")


@refused("no 'hight'", "columns must name columns of the source")
def a_declared_column_is_not_there(bench: Bench) -> list[object]:
    bench.column("hight", kind="number")
    return bench.run()


@refused("no 'presure'", "did you mean 'pressure'")
def a_declared_column_is_misspelt(bench: Bench) -> list[object]:
    bench.column("presure", kind="number")
    return bench.run()


@refused("undeclared", "pulse")
def an_undeclared_column_is_refused(bench: Bench) -> list[object]:
    bench.said["undeclared"] = "refuse"
    bench.frame["pulse"] = 1
    return bench.run()


@refused("name each column once", "'age' 2 times")
def a_column_comes_twice(bench: Bench) -> list[object]:
    arguments = bench.run()
    path = bench.folder / "table" / "visits.csv"
    path.write_text(path.read_text().replace("dose", "age", 1))
    return arguments


@refused("'dose'", "'plenty'", "visit 20160003")
def a_text_stands_in_a_number(bench: Bench) -> list[object]:
    bench.frame["dose"] = bench.frame["dose"].astype(object)
    bench.frame.loc[3, "dose"] = "plenty"
    return bench.run()


@refused("'dose'", "inf")
def a_value_is_infinite(bench: Bench) -> list[object]:
    bench.frame.loc[3, "dose"] = np.inf
    return bench.run()


@refused("column 'told' must be", "'2'", "visit 20160005")
def a_flag_is_neither_0_nor_1(bench: Bench) -> list[object]:
    bench.frame.loc[5, "told"] = 2
    return bench.run()


@refused("weak_label 'told' must have positive rows and others, got none of 120")
def nobody_is_labeled(bench: Bench) -> list[object]:
    bench.frame["told"] = 0
    return bench.run()


@refused("weak_label 'told' must have positive rows and others, got all of 120")
def everybody_is_labeled(bench: Bench) -> list[object]:
    bench.frame["told"] = 1
    return bench.run()


@refused("weak_label 'told' must have values, all of its 120 are missing")
def all_weak_labels_are_missing(bench: Bench) -> list[object]:
    bench.frame["told"] = None
    return bench.run()


@refused("evaluation_label 'secret_truth' must have values, all of its 120 are missing")
def all_evaluation_labels_are_missing(bench: Bench) -> list[object]:
    bench.frame["secret_truth"] = None
    return bench.run()


@refused("column 'year' must be a time", "'soon'", "visit 20160000")
def a_time_is_no_time(bench: Bench) -> list[object]:
    bench.column("year", kind="time")
    bench.frame["year"] = "soon"
    return bench.run()


@refused("Parquet", "visits.csv")
def a_csv_file_is_declared_as_parquet(bench: Bench) -> list[object]:
    bench.source(kind="parquet", path="visits.csv")
    return bench.run()


# Databases.


@refused("source.url must be a database URL", "'somewhere'")
def a_database_url_is_none(bench: Bench) -> list[object]:
    bench.source(kind="sql", url="somewhere", table="visits")
    return bench.run()


@refused("source.url must name an existing SQLite file", "gone.db")
def a_database_file_is_missing(bench: Bench) -> list[object]:
    bench.source(kind="sql", url="sqlite:///gone.db", table="visits")
    return bench.run()


@refused("source must have either query or table, got both")
def a_query_and_a_table_are_given(bench: Bench) -> list[object]:
    bench.source(kind="sql", url="sqlite:///gone.db", table="visits", query="select 1")
    return bench.run()


@refused("source.url names the environment variable TOY_DATABASE, which is not set")
def a_variable_of_a_database_url_is_not_set(bench: Bench) -> list[object]:
    bench.source(kind="sql", url="sqlite:///${TOY_DATABASE}", table="visits")
    return bench.run()


@refused("source.url", "postgresql", "install it", code=1)
def a_driver_is_not_installed(bench: Bench) -> list[object]:
    bench.source(kind="sql", url=f"postgresql+psycopg://someone:{PASSWORD}@127.0.0.1:1/db", table="visits")
    return bench.run()


# What a person knows.


@refused("nowhere.yaml")
def the_knowledge_file_is_missing(bench: Bench) -> list[object]:
    return bench.run("--knowledge", bench.folder / "nowhere.yaml")


@refused("know.yaml")
def the_knowledge_file_is_no_yaml(bench: Bench) -> list[object]:
    return bench.run("--knowledge", bench.file("know.yaml", "tiers: [[age"))


@refused("'exogenus'", "exogenous")
def a_key_of_the_knowledge_is_misspelt(bench: Bench) -> list[object]:
    return bench.run("--knowledge", bench.file("know.yaml", {"exogenus": ["age"]}))


@refused("'hight'", "exogenous")
def the_knowledge_names_an_unknown_variable(bench: Bench) -> list[object]:
    return bench.run("--knowledge", bench.file("know.yaml", {"exogenous": ["hight"]}))


@refused("age", "dose", "->")
def the_knowledge_has_a_cycle(bench: Bench) -> list[object]:
    cycle = {"required": {"paths": [["age", "dose"], ["dose", "age"]]}}
    return bench.run("--knowledge", bench.file("know.yaml", cycle))


@refused("age", "pressure", "forbidden")
def the_knowledge_requires_what_it_forbids(bench: Bench) -> list[object]:
    both = {"required": {"edges": [["age", "pressure"]]}, "forbidden": {"paths": [["age", "pressure"]]}}
    return bench.run("--knowledge", bench.file("know.yaml", both))


@refused("tiers", "'age'", "1 and 2")
def a_variable_is_in_two_tiers(bench: Bench) -> list[object]:
    return bench.run("--knowledge", bench.file("know.yaml", {"tiers": [["age"], ["age", "dose"]]}))


# Gates, configuration, settings.


@refused("nowhere.yaml", "registry file")
def the_gates_file_is_missing(bench: Bench) -> list[object]:
    return bench.run("--set", f"gates={bench.folder / 'nowhere.yaml'}")


@refused("'limt'", "did you mean 'limit'?", "gate 1")
def a_key_of_a_gate_is_misspelt(bench: Bench) -> list[object]:
    return bench.run("--set", f"gates={bench.file('gates.yaml', {'gates': [{'metric': 'auc', 'limt': 1}]})}")


@refused("metric of a gate must be one of", "'accuracy'")
def a_gate_asks_for_an_unknown_metric(bench: Bench) -> list[object]:
    return bench.run("--set", f"gates={bench.file('gates.yaml', {'gates': [{'metric': 'accuracy', 'limit': 1}]})}")


@refused("registry file must be valid YAML", "gates.yaml")
def the_gates_file_is_no_yaml(bench: Bench) -> list[object]:
    file = bench.file("gates.yaml", "gates: [{metric: auc")
    return bench.run("--set", f"gates={file}")


@refused("--config must name a YAML file", "nowhere.yaml")
def the_configuration_is_missing(bench: Bench) -> list[object]:
    return bench.run("--config", bench.folder / "nowhere.yaml")


@refused("--config must be YAML", "config.yaml")
def the_configuration_is_no_yaml(bench: Bench) -> list[object]:
    return bench.run("--config", bench.file("config.yaml", "training: [1"))


@refused("--config must hold a mapping of names to values", "list")
def the_configuration_is_a_list(bench: Bench) -> list[object]:
    return bench.run("--config", bench.file("config.yaml", "- training"))


@refused("trainig is no field of the configuration", "did you mean training?")
def a_stage_is_unknown(bench: Bench) -> list[object]:
    return bench.run("--config", bench.file("config.yaml", {"trainig": {"batches": 1}}))


@refused("training.head.hiden is no field", "did you mean hidden?")
def a_field_is_unknown(bench: Bench) -> list[object]:
    return bench.run("--set", "training.head.kind=mlp", "--set", "training.head.hiden=8")


@refused("discovery.replicates", "integer", "'many'")
def a_field_has_another_type(bench: Bench) -> list[object]:
    return bench.run("--set", "discovery.replicates=many")


@refused("discovery", "replicates must be at least 1, got 0")
def a_field_is_out_of_range(bench: Bench) -> list[object]:
    return bench.run("--set", "discovery.replicates=0")


@refused("training.head", "'forest'")
def a_method_is_unknown(bench: Bench) -> list[object]:
    return bench.run("--set", "training.head.kind=forest")


@refused("source must be a mapping", "'visits'")
def the_source_of_the_configuration_is_a_text(bench: Bench) -> list[object]:
    return bench.run("--config", bench.file("config.yaml", {"source": "visits"}))


@refused("--set must look like training.head.hidden=8", "'training.batches'")
def an_assignment_has_no_equals_sign(bench: Bench) -> list[object]:
    return bench.run("--set", "training.batches")


@refused("--set training.batches.more must lie below a mapping", "batches is 1")
def an_assignment_lies_below_a_number(bench: Bench) -> list[object]:
    return bench.run("--set", "training.batches=1", "--set", "training.batches.more=2")


@refused("--set training.batches must have a YAML value", "'[1'")
def an_assignment_has_no_yaml_value(bench: Bench) -> list[object]:
    return bench.run("--set", "training.batches=[1")


@refused("KINTSUGI_LLM must be", "'oracle'")
def a_language_model_is_unknown(bench: Bench) -> list[object]:
    return bench.run("--llm", "oracle")


@refused("KINTSUGI_WORKERS", "'-3'")
def a_setting_is_out_of_range(bench: Bench) -> list[object]:
    bench.setenv("KINTSUGI_WORKERS", "-3")
    return bench.run()


@refused("KINTSUGI_TRACKNG_URI is not a setting", "did you mean KINTSUGI_TRACKING_URI?")
def a_setting_is_misspelt(bench: Bench) -> list[object]:
    bench.setenv("KINTSUGI_TRACKNG_URI", "http://127.0.0.1:5000")
    return bench.run()


@refused("model must be a name", "'a/b'")
def a_model_name_holds_a_slash(bench: Bench) -> list[object]:
    return bench.run("--model", "a/b")


@refused("discovery", "replicates", "got 0")
def discover_refuses_like_run(bench: Bench) -> list[object]:
    return bench.run("--set", "discovery.replicates=0", command="discover")


@refused("'prevalence'", "metric")
def a_gate_on_a_metric_that_has_no_better_side(bench: Bench) -> list[object]:
    return bench.run("--set", f"gates={bench.file('gates.yaml', {'gates': [{'metric': 'prevalence', 'limit': 1}]})}")


@pytest.fixture
def bench(tmp_path: Path, toy: Any, monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(tmp_path, toy, monkeypatch.setenv)


@pytest.mark.parametrize("name", sorted(CASES))
def test_a_bad_input_is_refused_in_one_sentence(
    name: str, bench: Bench, kintsugi: Any, servers: Any, tmp_path: Path
) -> None:
    make, words, code = CASES[name]
    said = kintsugi(*make(bench))
    assert "Traceback" not in said.out + "\n".join(said.err)
    assert len(said.err) == 1, said.err
    assert said.err[0].startswith("kintsugi: ")
    assert [word for word in words if word not in said.err[0]] == [], said.err[0]
    assert said.code == code
    assert said.out == ""
    assert PASSWORD not in said.err[0]
    assert not (tmp_path / "kintsugi" / "datasets").exists()
    assert not (tmp_path / "kintsugi" / "runs").exists()
    assert all(server.starts and not server.running for server in servers.made)


def test_there_are_many_bad_inputs() -> None:
    assert len(CASES) >= 40


def test_a_good_input_is_not_refused(bench: Bench, kintsugi: Any, servers: Any) -> None:
    with pytest.raises(AssertionError, match="a run began"):
        kintsugi(*bench.run())
    (server,) = servers.made
    assert (server.starts, server.running) == (1, False)


@pytest.mark.parametrize("command", ["run", "discover", "update"])
def test_a_home_that_is_a_file_is_an_outside_fault(
    command: str, bench: Bench, kintsugi: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from flows import launch

    monkeypatch.setattr(launch, "PrefectServer", PrefectServer)  # the real one finds it before it starts anything
    place = bench.file("taken", "a file")
    arguments = bench.run("--home", place, command=command)
    if command == "update":
        arguments = [argument for argument in arguments if argument not in ("--llm", "none")]
    said = kintsugi(*arguments)
    assert said.code == 1
    (sentence,) = said.err
    assert sentence.startswith("kintsugi: ")
    assert str(place) in sentence
    assert "KINTSUGI_HOME" in sentence


# What is only known inside a flow.


@contextmanager
def endpoint(answer: bytes, delay: float = 0.0) -> Iterator[str]:
    """A server that gives every question the same answer."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            time.sleep(delay)
            try:
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)
            except OSError:
                return  # the one who asked has gone

        def log_message(self, *arguments: object) -> None:
            return

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def last_line(said: Any) -> str:
    """The sentence that ends a run; before it there are lines of progress."""
    assert "Traceback" not in said.out + "\n".join(said.err)
    assert [line.startswith("kintsugi:") for line in said.err].count(True) == 1, said.err
    assert said.err[-1].startswith("kintsugi: ")
    return str(said.err[-1])


def discover(bench: Bench, url: str, timeout: str = "60") -> list[object]:
    bench.setenv("KINTSUGI_LLM_BASE_URL", url)
    bench.setenv("KINTSUGI_LLM_MODEL", "somebody")
    bench.setenv("KINTSUGI_LLM_TIMEOUT", timeout)
    return bench.run("--llm", "endpoint", command="discover")


def test_an_endpoint_without_an_address_is_an_input_error(bench: Bench, kintsugi_with_prefect: Any) -> None:
    said = kintsugi_with_prefect(*bench.run("--llm", "endpoint", command="discover"))
    assert "base_url must be given for an endpoint; set KINTSUGI_LLM_BASE_URL" in last_line(said)
    assert said.code == 2


def test_an_endpoint_that_is_down(bench: Bench, kintsugi_with_prefect: Any) -> None:
    url = f"http://127.0.0.1:{free_port()}/v1"
    said = kintsugi_with_prefect(*discover(bench, url))
    assert f"'somebody' at {url} cannot be reached" in last_line(said)
    assert "KINTSUGI_LLM=none" in last_line(said)
    assert said.code == 1


def test_an_endpoint_that_is_slow(bench: Bench, kintsugi_with_prefect: Any) -> None:
    with endpoint(b"{}", delay=1.0) as url:
        said = kintsugi_with_prefect(*discover(bench, url, timeout="0.2"))
    assert "gave no reply within 0.2 s" in last_line(said)
    assert said.code == 1


@pytest.mark.parametrize("answer", [b"{oh no", b'{"choices": []}'])
def test_an_endpoint_that_talks_rubbish(bench: Bench, kintsugi_with_prefect: Any, answer: bytes) -> None:
    with endpoint(answer) as url:
        said = kintsugi_with_prefect(*discover(bench, url))
    assert "the language model 'somebody' at" in last_line(said)
    assert "sent" in last_line(said)
    assert said.code == 1


def test_a_table_that_ingestion_refuses_leaves_no_dataset(
    bench: Bench, kintsugi_with_prefect: Any, tmp_path: Path
) -> None:
    bench.column("age", minimum=50, maximum=60)
    said = kintsugi_with_prefect(*bench.run(command="discover"))
    assert "column 'age' must lie in [50, 60] decades" in last_line(said)
    assert "is it in another unit?" in last_line(said)
    assert said.code == 2
    assert not list(tmp_path.glob("kintsugi/datasets/*"))


def test_a_tracking_server_that_is_down(bench: Bench, kintsugi_with_prefect: Any, tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    bench.setenv("KINTSUGI_TRACKING_URI", url)
    said = kintsugi_with_prefect(*bench.run())
    assert f"the tracking store {url} does not answer" in last_line(said)
    assert "KINTSUGI_TRACKING_URI" in last_line(said)
    assert said.code == 1
    assert not list(tmp_path.glob("kintsugi/datasets/*"))
    assert not list(tmp_path.glob("kintsugi/runs/*"))


# Runs that end before their end.

FAST = (
    *("--set", "discovery.replicates=1", "--set", "training.rule.epochs=1", "--set", "training.head.kind=linear"),
    *("--set", "training.features=all", "--set", "update.rule.rule.epochs=1", "--set", "update.drift.permutations=5"),
    *("--set", "tuning.rounds=1", "--set", "evaluation.resamples=20"),
)


def registered(home: Path) -> list[Any]:
    from tasks.settings import Settings
    from tasks.tracking import open_tracking

    client = open_tracking(Settings(home=home), "kintsugi-toy").client
    return list(client.search_model_versions())


def statuses(home: Path) -> dict[str, str]:
    from tasks.settings import Settings
    from tasks.tracking import open_tracking

    tracking = open_tracking(Settings(home=home), "kintsugi-toy")
    runs = tracking.client.search_runs([tracking.experiment_id])
    return {run.info.run_name.split()[0]: run.info.status for run in runs}


def test_ctrl_c_ends_the_run_at_once_and_registers_nothing(
    bench: Bench, kintsugi_with_prefect: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from tasks import discover as stage

    def interrupted(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(stage, "read_rows", interrupted)
    said = kintsugi_with_prefect(*bench.run(*FAST))
    assert last_line(said) == "kintsugi: stopped"
    assert said.code == 130
    home = tmp_path / "kintsugi"
    assert registered(home) == []
    assert statuses(home) == {"pipeline": "KILLED", "ingest": "FINISHED", "elicit": "FINISHED", "discover": "KILLED"}


def test_a_fault_while_a_model_is_registered_leaves_no_version(
    bench: Bench, kintsugi_with_prefect: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from tasks import registry

    def broken(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(registry, "_ensure_model", broken)
    bench.frame = bench.toy.visits((2016, 2017), (260, 260))
    said = kintsugi_with_prefect(*bench.run(*FAST))
    assert "No space left on device" in last_line(said)
    assert said.code == 1
    home = tmp_path / "kintsugi"
    assert registered(home) == []
    assert statuses(home)["register"] == statuses(home)["pipeline"] == "FAILED"
    assert statuses(home)["evaluate"] == "FINISHED"
