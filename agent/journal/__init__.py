"""The journal: an append-only row of blocks in one SQLite file, outbox and local history in one.

Invariants. Later code leans on them; each has a test of its name in `tests/agent/test_journal_invariants.py`.

- published_only_after_commit: a block is offered for sending only after a commit with `synchronous=FULL`. The one
  exception: while the disk refuses, blocks live in bounded memory and are offered from there.
- loss_bound_is_one_group_commit: a kill or power cut loses at most what was taken since the last group commit
  (`group_commit`, at most 1 s); alarms and events are committed at once.
- an_unclean_stop_is_said: an opening that follows no orderly close is told of, with the last commit and the bound.
- a_new_stream_per_open: every opening is a new stream; a (stream, seq) never names two contents, and blocks keep the
  stream they were born with, also over a restart.
- event_and_rule_state_are_one_transaction: the rule state that already knows an alarm event is saved with it or not
  at all.
- bounded_by_bytes: blocks beyond `max_bytes` are evicted, oldest first within a class.
- bounded_by_age: what is older than `max_age` goes; unsent alarms stay.
- alarms_are_never_evicted_before_readings: in any eviction, readings go first and alarms last.
- catalogs_that_nothing_names_go_before_anything_else: of unsent catalogs the newest and those that unsent blocks name
  are kept, the others are evicted first; nothing is lost with them, so nothing is counted.
- every_evicted_reading_is_counted: by reason, in the transaction that evicts it.
- losses_are_kept_by_the_stream_that_had_them: counts only grow, and outlive a restart and the file; each is told again
  by the streams after it. Not those of the last group commit before a kill, nor those no commit came to while the disk
  refused and that were not told before the program ended; nor those of a file that was deleted, or whose table of
  losses cannot be read at a start, beyond what was told.
- deleted_only_when_answered_or_evicted: an unsent block leaves the outbox by an answer of the centre or by a counted
  eviction, never by being handed to the broker.
- a_full_disk_degrades_to_bounded_memory_and_heals: taking goes on, memory is capped, what is beyond is counted, and
  the first commit that succeeds writes what is held.
- a_stop_loses_nothing_uncounted: at an orderly stop the disk is asked once more, for alarms and events alone if it does
  not take all; what the disk refuses and the centre has not taken is counted, in the file or else in the log.
- a_corrupt_file_is_quarantined_and_the_rest_replayed: every block that can still be read and fits its digest is taken
  over, the rest is counted, and then the file is renamed aside; a replay that is cut off is begun again.
- a_corrupt_block_is_kept_and_counted_never_sent: a body that no longer fits its digest is set aside by itself.
- blocks_set_aside_are_bounded_and_keep_nothing_from_being_sent: what the centre refused or the disk changed is kept to
  be looked at, so many and so old at most, and is evicted before what waits to be sent.
- packed_in_place_without_loss: packing puts one block in the place of its neighbours in one transaction; it takes none
  that is on its way, and leaves out only what thinning counts.
- merged_out_of_sight: small neighbours become one block in one transaction, waiting ones only while nobody was offered
  them; what may have been sent keeps name and bytes, and a broken block is left.
- order_is_kept_within_a_kind: unsent blocks of a kind are offered in the order they were born.
"""

from agent.journal.block import BlockState, Key, Sealed, Stored, fits
from agent.journal.eviction import DropReason
from agent.journal.journal import Journal
from agent.journal.offload import InlineOffload, Offload, ThreadOffload
from agent.journal.recovery import OpenReport, glimpse
from agent.journal.store import Store
from agent.journal.tally import JournalStats

__all__ = [
    "BlockState",
    "DropReason",
    "InlineOffload",
    "Journal",
    "JournalStats",
    "Key",
    "Offload",
    "OpenReport",
    "Sealed",
    "Store",
    "Stored",
    "ThreadOffload",
    "fits",
    "glimpse",
]
