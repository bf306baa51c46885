"""Generated pages: how long each notebook took, and where each result comes from."""

from html import escape
from pathlib import Path

from attm_companion.book.tables import table_html
from attm_companion.notebook_parameters import read_notebook
from attm_companion.study.result_files import read_table


def execution_page(notebooks: list[Path], profile: str) -> str:
    """Execution statistics from the metadata that papermill leaves in executed notebooks."""
    rows, total = [], 0.0
    for path in notebooks:
        metadata = read_notebook(path).metadata.get("papermill", {})
        seconds = float(metadata.get("duration") or 0.0)
        total += seconds
        parameters = ", ".join(f"{k} = {v!r}" for k, v in metadata.get("parameters", {}).items())
        started = str(metadata.get("start_time", "")).partition(".")[0].replace("T", " ")
        link = f'<a href="../../notebooks/{path.stem}.html">{escape(path.stem)}</a>'
        rows.append([link, f"{seconds:.1f}", escape(started), escape(parameters) or "—", "ran"])
    head = ["Notebook", "Seconds", "Started (UTC)", "Parameters", "Outcome"]
    return (
        "# Execution statistics\n\n"
        f"Profile `{profile}`. Notebooks executed by papermill: {len(rows)}, in {total:.0f} s. "
        "A page of this book exists only if its notebook ran to the end without an error.\n\n"
        + table_html(head, rows, f"Notebooks executed for profile {profile}", prose=True)
    )


def provenance_page(results: Path, profile: str) -> str:
    """What the numbers were made from: facts common to all result files, then a row per file."""
    tables = [read_table(path, profile) for path in sorted(results.glob("*.csv"))]
    facts = [
        {key: fact for key, fact in table.provenance.items() if not isinstance(fact, dict | list)}
        for table in tables
    ]
    keys = list(dict.fromkeys(key for named in facts for key in named))
    common = [key for key in keys if len({str(named.get(key)) for named in facts}) == 1]
    own = [key for key in keys if key not in common] if len(tables) > 1 else []
    rows = [
        [escape(table.experiment), str(len(table.values))]
        + [escape(str(named.get(key, "—"))) for key in own]
        for table, named in zip(tables, facts, strict=True)
    ]
    head = ["Experiment", "Values", *map(_words, own)]
    live = next((f": {{num}}`{t.experiment}: {name}`" for t in tables for name in t.named), "")
    return (
        "# Provenance\n\n"
        f"Profile `{profile}`. Every number of ours in this book comes from one of these result "
        f"files ({len(rows)}). A number shows its id under the pointer or the focus{live}. "
        "Wall time is that of all stages that a table needs, also of those that others share.\n\n"
        + "".join(f"- {_words(key)}: {facts[0][key]}\n" for key in common)
        + "\n"
        + table_html(head, rows, f"Result files of profile {profile}", prose=True)
    )


def _words(key: str) -> str:
    return {"wall_s": "wall time (s)", "config_uid": "configuration"}.get(
        key, key.replace("_", " ")
    )
