"""The page: one self-contained file, rendered from templates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from mmbench.claims.statements import Statement
from mmbench.claims.verdicts import assess_all
from mmbench.config.methods import STUDIED
from mmbench.files.atomic import write_text
from mmbench.report import text
from mmbench.report.commands import of_experiment, of_page
from mmbench.report.draw import pictures
from mmbench.report.draw.figures import Drawing
from mmbench.report.draw.theme import Mode
from mmbench.report.parts import origin
from mmbench.report.parts.claims import write_claims
from mmbench.report.parts.curves import quality_against_compute
from mmbench.report.parts.effect import Axes
from mmbench.report.parts.effects import write_effects
from mmbench.report.parts.extractors import other_extractors
from mmbench.report.parts.method_notes import method_notes
from mmbench.report.parts.multitask import delta_table
from mmbench.report.parts.overview import write_overview
from mmbench.report.parts.section import Context, load_section
from mmbench.report.parts.trajectory import trajectory
from mmbench.report.tables import bars
from mmbench.report.tables import table as tables
from mmbench.report.text import slug
from mmbench.runs.results import Results

TEMPLATES = Path(__file__).parent / "templates"
SCRIPTS = TEMPLATES / "scripts"


def write_report(
    results: Results,
    out: Path,
    command: str = "",
    *,
    claims: Sequence[Statement] = (),
    ablations: Mapping[str, Axes] | None = None,
) -> Path:
    """Write `out`/index.html, `out`/tables and `out`/figures; returns the page's path.

    Args:
        command: the command that made the results, which the page shows.
        claims: the claims to test; without claims the page has no such table.
        ablations: the changes of each method, by experiment and axis; each experiment has a table of effects.
    """
    contexts = [
        Context(results, experiment, out, command=of_experiment(command, results.profile, experiment.name))
        for experiment in results.experiments
    ]
    parts: list[dict[str, Any]] = []
    for context in contexts:
        section = load_section(context.experiment.name).build(context)
        records = {
            "measures": context.table(origin.measures_table(context.experiment, out)),
            "cases": context.table(origin.cases_table(context.experiment)),
            "origins": origin.origins(context.experiment),
        }
        curves = quality_against_compute(context, section.headlines)
        effects = write_effects(context, section.headlines, (ablations or {}).get(context.experiment.name, {}))
        parts.append(
            {
                "section": section,
                "experiment": context.experiment,
                "records": records,
                "curves": curves,
                "effects": effects,
                "extractors": other_extractors(context),
                "trajectory": trajectory(context),
                "multitask": None if "transfer" in section.content else delta_table(context, section),
                "methods": [method_notes(context, section, method) for method in context.experiment.methods],
                "pictures": context.pictures,
                "command": context.command,
            }
        )
    again = of_page(command, results.profile)
    overview, written = write_overview([(part["section"], part["experiment"]) for part in parts], out, again)
    claims_part, more = write_claims(assess_all(claims, results), results, out / "tables")
    page = render(
        "page.html.j2",
        overview=overview,
        claims=claims_part,
        results=results,
        parts=parts,
        facts=origin.facts(results),
        code=origin.code_of([run for experiment in results.experiments for run in experiment.runs]),
        card=origin.data_card(results.card),
        command=command,
        scripts=sorted(path.name for path in SCRIPTS.glob("*.js")),
        files=listed([*written, *more, *(path for context in contexts for path in context.written)], out),
        studied=STUDIED,
    )
    path = out / "index.html"
    write_text(path, page)
    return path


def listed(paths: Sequence[Path], out: Path) -> list[tuple[str, list[tuple[str, list[str]]]]]:
    """Written files by folder and name: (folder, [(stem, suffixes)])."""
    folders: dict[str, dict[str, list[str]]] = {}
    for path in paths:
        relative = path.relative_to(out)
        folders.setdefault(str(relative.parent), {}).setdefault(relative.stem, []).append(relative.suffix[1:])
    return [(folder, list(stems.items())) for folder, stems in folders.items()]


def render(template: str, **values: Any) -> str:
    """Render a template; an undefined name is an error, everything is escaped."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["slug"] = slug
    environment.filters["svg_uri"] = svg_uri
    environment.filters["png_uri"] = lambda tile: pictures.data_uri(pictures.png(tile.pixels))
    environment.filters["thousands"] = lambda value: text.number(value, 0)
    environment.globals["source"] = lambda name: Markup((TEMPLATES / name).read_text(encoding="utf-8"))
    environment.filters["points"] = point_lines
    environment.filters["scales"] = bars.scales
    environment.globals["bar"] = bars.bar
    environment.globals["zoom_of"] = pictures.zoom_of
    environment.globals["DASH"] = tables.NONE.text
    return environment.get_template(template).render(**values)


def point_lines(drawing: Drawing) -> str:
    """The hover texts of a figure, one line for each point: its place in thousandths, and the text."""
    return "\n".join(f"{point.x} {point.y} {point.words}" for point in drawing.points)


def svg_uri(drawing: Drawing, mode: Mode) -> str:
    """A figure's SVG in one theme as a data URI."""
    return pictures.data_uri(drawing.svg[mode].encode(), "image/svg+xml")
