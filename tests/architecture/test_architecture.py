"""What must hold of the whole repository, whatever is added to it."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def python(code: str, cwd: Path) -> str:
    done = subprocess.run([sys.executable, "-c", code], cwd=cwd, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_help_does_not_load_heavy_libraries(tmp_path: Path) -> None:
    code = (
        "import sys; from typer.testing import CliRunner; from flows.cli import app;"
        "result = CliRunner().invoke(app, ['--help']); assert result.exit_code == 0, result.output;"
        "print(*[m for m in ('torch', 'lingam', 'ray', 'mlflow', 'prefect', 'sklearn', 'dask') if m in sys.modules])"
    )
    assert python(code, tmp_path) == ""


def test_the_run_form_does_not_load_heavy_libraries(tmp_path: Path) -> None:
    code = (
        "import sys; import flows.configuration;"
        "print(*[m for m in ('torch', 'lingam', 'ray', 'mlflow', 'prefect', 'sklearn', 'dask') if m in sys.modules])"
    )
    assert python(code, tmp_path) == ""


def test_importing_the_components_writes_nothing(tmp_path: Path) -> None:
    python("import components.learner, components.updating, components.ingestion, components.evaluation", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_mlflow_is_the_real_package_from_the_root(tmp_path: Path) -> None:
    assert "site-packages" in python("import mlflow; print(mlflow.__file__)", ROOT)


def test_the_mlflow_folder_holds_no_python() -> None:
    assert list((ROOT / "mlflow").rglob("*.py")) == []


def test_constraints_hold_no_addresses_and_no_cuda() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    assert [line for line in lines if re.search(r"://|nvidia|cuda|triton", line)] == []
    assert "torch==2.13.0" in lines
    fastapi = next(line for line in lines if line.startswith("fastapi=="))
    assert tuple(map(int, fastapi.split("==")[1].split(".")[:2])) < (0, 151)


@pytest.mark.parametrize("package", ["ivon", "abess"])
def test_the_package_imports_no_gpl_code(package: str) -> None:
    pattern = re.compile(rf"^\s*(import|from) {package}\b", re.MULTILINE)
    files = [file for part in ("components", "tasks", "flows") for file in (ROOT / part).rglob("*.py")]
    assert len(files) > 20
    assert [file for file in files if pattern.search(file.read_text())] == []


def test_every_declared_dependency_can_be_imported() -> None:
    # pip check finds no fault in a statsmodels built for another numpy; importing lingam does.
    modules = "lingam, mlflow, prefect, ray, torch, dask.dataframe, pandera.pandas, openai, safetensors, xllamacpp"
    assert python(f"import warnings; warnings.simplefilter('ignore'); import {modules}; print('well')", ROOT) == "well"
