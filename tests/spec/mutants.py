"""Mutants of the project's own spec: for each property one that breaks it.

A mutant is a small mistake in the spec, such as somebody might make: a row is gone, a condition, an
effect. That the property notices is what makes it one.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from statemachine import System, load_system, spec_folder

COMPOSITION, VOCABULARY, SYSTEM = "composition.toml", "vocabulary.toml", "system.toml"


@dataclass(frozen=True, slots=True)
class Mutant:
    """The property that must notice, under which bounds, and the edits: file, old, new.

    An edit whose new text is None deletes the row that begins with the old one.
    """

    property: str
    bounds: str
    edits: tuple[tuple[str, str, str | None], ...]

    def __str__(self) -> str:
        return self.property


def row(name: str) -> tuple[str, str, None]:
    """The composed step is gone."""
    return COMPOSITION, f'  {{ id = "{name}",', None


def without(name: str, text: str, new: str = "") -> tuple[str, str, str]:
    """A text of the step's row is gone, or is another."""
    source = (spec_folder() / COMPOSITION).read_text(encoding="utf-8")
    (line,) = (x for x in source.splitlines() if x.startswith(f'  {{ id = "{name}",'))
    assert text in line, f"{name} has no {text}"
    return COMPOSITION, line, line.replace(text, new)


def word(text: str, new: str = "") -> tuple[str, str, str]:
    """A text of the vocabulary is gone, or is another."""
    return VOCABULARY, text, new


LIVES = 'nobody = ["worker.STARTING", "worker.IDLE", "worker.BUSY", "worker.LATE"'


def lives(*states: str) -> tuple[str, str, str]:
    """Only these states of workers keep a drain of the pool waiting."""
    listed = ", ".join(f'"worker.{state}"' for state in states)
    return word(f'{LIVES}, "worker.unburied"]', f"nobody = [{listed}]")


def drains_with(state: str) -> tuple[str, str, str]:
    """The pool is drained although a connection is in this state."""
    return without("drain_pool", f'"connection.{state}"', '"connection.PARKED"')


NO_GUARD = '{ is = ["job.RUNNING"] }, '
WITHDRAWN = '{ withdraw_all = "J4" }, '
REMOVED = '{ remove = "job" }'
CLEARED = '{ clear = "connection.job" }'
TAKEN = ', { set = "worker.job", to = "job" }'
WAITING = '{ queue = "not_empty" }'
KEPT = word('model = [{ clear = "worker.job" }]', "free = true")
OURS = (
    '{ nobody = ["connection.QUEUED", "connection.EXCHANGING"], '
    'linked = "connection.job", to = "job" }'
)
STREAM_ENDS = ', ["U11", "U12", "U13"]'
UNSET = '{ unmark_all = "worker.asleep" }'

MUTANTS = (
    Mutant("unique_ownership", "quick_pool", (without("settle", ', ["J5", "J6"]'),)),
    Mutant("no_lost_job", "quick_ends", (row("rouse"), row("wait_too_long"))),
    Mutant("job_settles", "quick_ends", (row("revoke"),)),
    Mutant("stopped_queue_empty", "quick_pool", (without("end_drain", '{ queue = "empty" }'),)),
    Mutant("stopped_no_runner", "quick_pool", (lives("STARTING", "IDLE", "LATE"),)),
    Mutant("stopped_no_idle", "quick_pool", (lives("STARTING", "BUSY", "LATE"),)),
    Mutant("stopped_no_busy", "quick_pool", (lives("STARTING", "IDLE", "LATE"),)),
    Mutant("broken_queue_empty", "quick_pool", (without("break_serving", WITHDRAWN),)),
    Mutant("stopped_no_late", "quick_pool", (lives("STARTING", "IDLE", "BUSY"),)),
    Mutant("stopped_no_connection", "quick_ends", (drains_with("EXCHANGING"),)),
    Mutant("stopped_no_queued", "quick_ends", (drains_with("QUEUED"),)),
    Mutant("stopped_no_flush", "quick_ends", (drains_with("FLUSHING"),)),
    Mutant("stopped_no_relay", "quick_ends", (drains_with("RELAYING"),)),
    Mutant("stopped_no_stream", "quick_ends", (drains_with("STREAMING"),)),
    Mutant("shutdown_terminates", "quick_ends", (without("dismiss", 'then = ["end_drain"], '),)),
    Mutant("keep_alive", "quick_ends", (row("answer_and_keep"),)),
    Mutant("flush_keeps_alive", "quick_ends", (row("answer_and_keep"),)),
    Mutant("queue_holds_the_queued", "quick_pool", (without("offer", '{ push = "job" }'),)),
    Mutant("queue_holds_no_other", "quick_pool", (without("wait_too_long", REMOVED),)),
    Mutant("queue_is_bounded", "quick_pool", (word(', { queue = "has_room" }'),)),
    Mutant("one_worker_a_job", "quick_pool", (KEPT,)),
    Mutant(
        "ran_once",
        "quick_pool",
        (
            without("die_at_work", "do = [", 'do = [{ push = "job" }, '),
            ("job.toml", 'on = "abandoned", to = "ABANDONED"', 'on = "abandoned", to = "QUEUED"'),
        ),
    ),
    Mutant("one_connection_a_job", "quick_ends", (without("relayed", CLEARED),)),
    Mutant("one_owner", "quick_ends", (without("sent_last", NO_GUARD),)),
    Mutant("lease_is_kept", "quick_ends", (without("settle", OURS),)),
    Mutant("ledger_balances", "quick_ends", ((SYSTEM, '"C28", ', ""),)),
    Mutant("never_unbalanced", "quick_ends", ((SYSTEM, '"C28", ', ""),)),
    Mutant("clean_shutdown", "quick_ends", (drains_with("LINGERING"),)),
    Mutant("stopped_pool_is_empty", "quick_pool", (lives("STARTING", "IDLE", "BUSY", "LATE"),)),
    Mutant(
        "sleepers_are_roused",
        "quick_stuck",
        (without("rouse", WAITING, f'{WAITING}, {{ nobody = ["worker.LATE"] }}'),),
    ),
    Mutant("sleepers_are_idle", "quick_ends", (without("drain_pool", UNSET),)),
    Mutant(
        "kept_by_nobody_else",
        "quick_ends",
        (without("reclaim", '{ clear = "baton.holder" }, '),),
    ),
    Mutant(
        "lent_to_one",
        "quick_ends",
        (without("lend_baton_at_work", '{ set = "baton.holder", to = "worker" }, '),),
    ),
    Mutant("held_is_watched", "quick_ends", (without("take_ringing", ', "B3"'),)),
    Mutant("baton_comes_back", "quick_ends", (row("look_up"), row("give_back"))),
    Mutant("never_stuck", "quick_ends", (row("inherit"),)),
    Mutant("request_settles", "quick_ends", (row("inherit"),)),
    Mutant("server_stops", "quick_stream", (row("stream_ends_late"),)),
    Mutant("cut_ends", "quick_ends", (row("cut_listener"),)),
    Mutant("stopped_no_current", "quick_stream", (without("stream_gone", STREAM_ENDS),)),
    Mutant("stopped_no_behind", "quick_stream", (without("stream_gone", STREAM_ENDS),)),
    Mutant("behind_is_bounded", "quick_stream", (row("behind_too_long"),)),
    Mutant("gap_is_survived", "quick_stream", (without("catch_up", '["U4", "U7"]', '["U4"]'),)),
    Mutant("lame_duck_drains", "quick_ends", (row("begin_drain"),)),
    Mutant("worker_BUSY_requires_owns_job", "quick_pool", (word(TAKEN),)),
    Mutant("worker_IDLE_forbids_owns_job", "quick_pool", (KEPT,)),
)


def mutated(mutant: Mutant, folder: Path) -> System:
    """The project's spec with the mutant's edits, each of which must be there just once."""
    shutil.copytree(spec_folder(), folder, dirs_exist_ok=True)
    for file, old, new in mutant.edits:
        text = (folder / file).read_text(encoding="utf-8")
        assert text.count(old) == 1, f"{old!r} is {text.count(old)} times in {file}"
        if new is None:
            lines = text.splitlines(keepends=True)
            text = "".join(line for line in lines if not line.startswith(old))
        else:
            text = text.replace(old, new)
        (folder / file).write_text(text, encoding="utf-8")
    return load_system(folder)
