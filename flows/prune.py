"""``kintsugi gc``: make room in the home folder, and say what it was."""

from itertools import groupby
from pathlib import Path

from rich.console import Console
from rich.table import Table

from flows.launch import PLAIN_WIDTH, settings_of

MEGABYTE = 1e6


def collect(days: float, dry_run: bool, home: Path | None) -> None:
    """Remove what is unused, and print a line for each kind of thing."""
    from tasks.prune import prune

    settings = settings_of(home)
    found = prune(settings, days, dry_run)
    printer = Console()
    if not printer.is_terminal:
        printer.width = PLAIN_WIDTH
    done = "would be removed" if dry_run else "removed"
    if not found:
        printer.print(f"nothing in {settings.home} is unused for {days:g} days", highlight=False, soft_wrap=True)
        return
    table = Table(header_style="bold", box=None, pad_edge=False)
    for name in (done, "count", "megabytes", "days unused, at most"):
        table.add_column(name, justify="left" if name == done else "right")
    for kind, group in groupby(found, lambda each: each.kind):
        members = list(group)
        size, oldest = sum(each.size for each in members) / MEGABYTE, max(each.days for each in members)
        table.add_row(kind, str(len(members)), f"{size:.1f}", f"{oldest:.0f}")
    printer.print(table)
    if dry_run:
        printer.print("\nWithout --dry-run they are removed; a run that needs one makes it again.", highlight=False)
