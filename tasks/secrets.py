"""Where secrets come from: the environment, or a Secret block of Prefect."""

import os
from typing import Any

from components.errors import InputError, OutsideError
from components.secrets import environment, remembered

BLOCK = "prefect-block:secret/"


def secret(name: str) -> str:
    """What ``name`` refers to: an environment variable, or ``prefect-block:secret/<name>[.<key>]``.

    Raises:
        InputError: There is no such variable, block or key; the words are the end of a sentence.
        OutsideError: Blocks are asked for and no Prefect API is there to ask.
    """
    return _block(name.removeprefix(BLOCK)) if name.startswith(BLOCK) else environment(name)


def revealed(value: str) -> str:
    """A secret setting as it is used: what its value refers to where that is a block, else the value itself.

    Raises:
        InputError: There is no such block.
        OutsideError: No Prefect API is there to ask for it.
    """
    return remembered(secret(value) if value.startswith(BLOCK) else value)


def _block(place: str) -> str:
    name, _, key = place.partition(".")
    content = _content(name)
    if key:
        if not isinstance(content, dict) or key not in content:
            raise InputError(f"the key {key!r} of the Prefect block secret/{name}, which has none of that name")
        content = content[key]
    if isinstance(content, dict | list):
        raise InputError(f"the Prefect block secret/{name}, which holds JSON: name a key, {BLOCK}{name}.<key>")
    return str(content)


def _content(name: str) -> Any:
    if not os.environ.get("PREFECT_API_URL"):
        raise OutsideError(
            f"the secret {BLOCK}{name} needs a Prefect API that outlives a run; set KINTSUGI_PREFECT_API_URL"
        )
    import httpx
    from prefect.blocks.system import Secret

    try:
        block: Any = Secret.load(name, _sync=True)  # type: ignore[call-arg]  # of Prefect's decorator
    except ValueError:
        raise InputError(f"the Prefect block secret/{name}, which does not exist") from None
    except (httpx.HTTPError, OSError) as error:
        raise OutsideError(f"the Prefect API that keeps the secret {BLOCK}{name} does not answer: {error}") from error
    return block.value.get_secret_value()
