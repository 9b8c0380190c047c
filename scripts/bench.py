"""Measure the rows of the performance targets and print them as a table.

    python scripts/bench.py [--only P1] [--quick] [--json FILE] [--readme]

A figure is a ratio of two things measured alternately in one run, so it holds on a busy machine too; single
times are shown to give an idea. Needs Linux, and the package index once, for the published package.
"""

from pathlib import Path

import click
from benchmarks.rows import row_groups
from benchmarks.sizing import sizing_table
from benchmarks.table import as_json, as_markdown, as_text
from benchmarks.workbench import FULL, QUICK, workbench
from readme import OPERATIONS, replace_section


@click.command(help=__doc__)
@click.option("--only", multiple=True, metavar="ID", help="Measure only this group of rows; repeatable.")
@click.option("--quick", is_flag=True, help="Fewer and shorter slices: an idea in a fraction of the time.")
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write rows and samples there.")
@click.option("--readme", is_flag=True, help="Write the tables into README and docs/operations.md.")
def bench(only: tuple[str, ...], quick: bool, json_file: Path | None, readme: bool) -> None:
    groups = row_groups()
    if readme and only:
        raise click.UsageError("--readme writes whole tables: measure all rows")
    if unknown := {name.upper() for name in only} - set(groups):
        raise click.UsageError(f"no rows {', '.join(sorted(unknown))}; there are {', '.join(groups)}")
    wanted = {name.upper() for name in only} or set(groups)
    rows = []
    for name in (name for name in groups if name in wanted):
        click.echo(f"measuring {name} …", err=True)
        with workbench(QUICK if quick else FULL) as opened:
            rows += groups[name](opened)
    click.echo(as_text(rows))
    if readme:
        replace_section("bench", as_markdown(rows))
        replace_section("sizing", sizing_table(rows), OPERATIONS)
    if json_file:
        json_file.write_text(as_json(rows), "utf-8")


if __name__ == "__main__":
    bench()
