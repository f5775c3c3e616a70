"""`mmbench results`: show the scores of a run in the terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import typer
from rich.table import Table
from rich.text import Text

from mmbench.cli.runs import find_run
from mmbench.command import console
from mmbench.config.methods import STUDIED
from mmbench.errors import UsageError, UserError, near
from mmbench.report.tables.board import Board, make_board
from mmbench.runs.results import ExperimentResults, load_results
from mmbench.scoring.names import describe, in_order

#: The beginnings of the names of the main metrics, which are shown by default.
LEADING = ("lpips_alex", "fd[", "fd_embedding", "miou", "judged_miou", "accuracy", "judged_accuracy", "cosine")
STYLES = {"best": "bold green", "second": "underline"}
#: The mark of the best value in a table without colours.
STAR = "*"


def matching(wanted: Sequence[str], known: Sequence[str]) -> list[str]:
    """The metrics whose names begin with one of the words, in the report's order; UsageError if a word begins none."""
    for word in wanted:
        if not any(name.startswith(word) for name in known):
            short = sorted({name.partition("[")[0].partition("@")[0] for name in known})
            raise UsageError(f"--metric: '{word}' begins none{near(word, short)}; there are {', '.join(short)}")
    return in_order(name for name in known if name.startswith(tuple(wanted)))


def board_table(board: Board, results: ExperimentResults, *, colours: bool) -> Table:
    """The table of one metric: methods by cases, or cases by methods if there are more cases."""
    arrow = "higher is better" if board.higher_is_better else "lower is better"
    methods = [m for m in board.methods if any((m, case) in board.entries for case in board.cases)]
    turned = len(board.cases) > max(len(methods), 5)
    table = Table(
        title=f"{describe(board.metric).label} ({arrow})",
        title_justify="left",
        title_style="bold",
        box=None,
        padding=(0, 1),
    )
    titles = {m: Text(results.titles[m], style="cyan" if m == STUDIED else "") for m in methods}
    table.add_column("", no_wrap=True)
    for name in methods if turned else board.cases:
        table.add_column(titles[name] if turned else name, justify="right", overflow="fold")

    def cell(method: str, case: str) -> Text:
        shown = board.cell(method, case)
        star = STAR if shown.mark == "best" and not colours else ""
        return Text(star + shown.text, style=STYLES.get(shown.mark, ""))

    for row in board.cases if turned else methods:
        cells = [cell(m, row) for m in methods] if turned else [cell(row, case) for case in board.cases]
        table.add_row(row if turned else titles[row], *cells)
    return table


def boards(results: ExperimentResults, wanted: Sequence[str], everything: bool) -> list[Board]:
    """The boards of the metrics to show, without comparisons, which only the page has."""
    bare = replace(results, items=results.items.iloc[:0])
    known = in_order(results.metrics["metric"].unique())
    leading = [name for name in known if name.startswith(LEADING)] or known
    chosen = known if everything else matching(wanted, known) if wanted else leading
    made = []
    for metric in chosen:
        answered = set(results.metrics.loc[results.metrics["metric"] == metric, "case"])
        made.append(make_board(bare, metric, [c["name"] for c in results.cases if c["name"] in answered]))
    return made


def rows(results: ExperimentResults, board: Board) -> Iterator[dict[str, Any]]:
    """The rows of a board for CSV and JSON, one for each mean over the seeds."""
    for (method, case), entry in board.entries.items():
        yield {
            "experiment": results.name,
            "case": case,
            "metric": board.metric,
            "higher_is_better": board.higher_is_better,
            "method": method,
            "rank": entry.rank,
            "mean": entry.summary.mean,
            "sd": entry.summary.sd,
            "seeds": len(entry.values),
        }


def command(
    run: Annotated[
        Path | None,
        typer.Argument(
            metavar="RUN", help="Folder of a run; by default the configured profile's, or the last.", show_default=False
        ),
    ] = None,
    experiment: Annotated[
        list[str] | None,
        typer.Option("--experiment", "-e", metavar="NAME", help="Show only this experiment; may be repeated."),
    ] = None,
    metric: Annotated[
        list[str] | None,
        typer.Option("--metric", "-m", metavar="NAME", help="Show only metrics that begin with NAME; may be repeated."),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Show all metrics instead of the main ones.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print a CSV table with a row for each mean.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the same rows as JSON.")] = False,
) -> None:
    """Show the scores of a run, or of the part of it that is finished.

    The best of a column is bold and the second best is underlined; where there are no colours, a star marks the best.
    With several seeds the table shows mean and standard deviation. The page and `mmbench claims` say which differences
    are significant.

    Examples:

      mmbench results
      mmbench results results/reference/camvid-masking --metric lpips
      mmbench results results/quick -e labels -e joint --all
      mmbench results results/quick --csv > scores.csv
    """
    if as_csv and as_json:
        raise UsageError("--csv: leave it out, or --json")
    folder = find_run(run)
    known = sorted(path.parent.name for path in folder.glob("*/cases.json"))
    for name in experiment or ():
        if name not in known:
            raise UsageError(f"--experiment: {folder} has no '{name}'{near(name, known)}; there are {', '.join(known)}")
    scored = [name for name in experiment or known if any((folder / name).glob("*/seed*/metrics.json"))]
    if not scored:
        raise UserError(f"{folder}: nothing is scored yet; continue the run: mmbench run")
    parts = load_results(folder, experiments=scored).experiments
    shown = [(part, boards(part, metric or (), everything)) for part in parts]
    if as_csv or as_json:
        table = pd.DataFrame([row for part, ranked in shown for board in ranked for row in rows(part, board)])
        sys.stdout.write(table.to_csv(index=False) if as_csv else table.to_json(orient="records", indent=2) + "\n")
        return
    screen = console()
    for part, ranked in shown:
        seeds = ", ".join(map(str, part.seeds))
        screen.print(Text(f"\n{part.name}", style="bold"), Text(f"of {folder}, seed {seeds}", style="dim"))
        if part.unscored:
            screen.print(Text(f"not scored yet: {', '.join(part.unscored)}", style="yellow"))
        for board in ranked:
            screen.print(board_table(board, part, colours=screen.is_terminal and not screen.no_color), "")
    if (page := folder / "index.html").is_file():
        screen.print(f"page: {page}", markup=False)
