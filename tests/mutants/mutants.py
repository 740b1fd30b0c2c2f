"""The places in which tests/mutants/run breaks Janus, and the tests that must notice.

M(name, file, old, new, tests): the text `old`, which must be in the file once, becomes `new`. Tests are a unit test's program (test_hub) or
names for tests/run that have a dot (test_recovery.Recovery.test_x). `points`: only those crash points are gone through, where the tests do
that (test_crash_points.py). Those that take long are not `quick`: they are left to `make mutants`.
"""
import os
import shutil

CRASH_ONLY = "test_apart", "test_crash_points", "test_recovery", "test_watch"       # test files that run the build with crash points, and no other

GO_THROUGH = "test_crash_points.CrashPoints.test_send"
ANSWERED = "test_crash_points.CrashPoints.test_answered_publishes"
RECOVERY = "test_recovery.Recovery."
RELOAD = "test_reload.Reload."
APART = "test_apart.Apart."
MUTANTS = []


class M:
    def __init__(self, name, file, old, new, *tests, points=None, quick=True):
        self.name, self.file, self.old, self.new, self.points, self.quick = name, file, old, new, points, quick
        self.units = [t for t in tests if "." not in t]
        self.scenarios = [t for t in tests if "." in t]
        MUTANTS.append(self)


# ---- the hub, after a death ----

M("hub-repair-without-the-index", "shm/hub.c", "\tindex_repair(&hub->index);\n", "", "test_hub")
M("hub-repair-without-the-ring", "shm/hub.c", "\tring_repair(&hub->ring);\n", "", "test_hub")
M("hub-repair-keeps-the-lock", "shm/hub.c", "\tif (held || slot == SLOT_BRIDGE)\n\t\tlock_release(lock, ours);\n", "", "test_hub")
M("hub-repair-wakes-nobody", "shm/hub.c", "\t\tlock_release(lock, ours);\n\thub_wake_all(hub);\n}", "\t\tlock_release(lock, ours);\n}", "test_hub")
M("hub-repair-takes-intended-for-done", "shm/hub.c", "bool done = !held || has_published(hub, intent);", "bool done = true;", "test_hub")
M("hub-repair-takes-done-for-intended", "shm/hub.c", "bool done = !held || has_published(hub, intent);", "bool done = !held;", "test_hub")
M("hub-repair-drops-what-was-unlocked", "shm/hub.c", "bool done = !held || has_published(hub, intent);",
  "bool done = held && has_published(hub, intent);", "test_hub")
M("cleared-slot-keeps-its-intent", "shm/hub.c", "\tatomic_store(&s->intent.state, INTENT_NONE);\n", "", "test_hub")
M("cleared-slot-keeps-its-topics", "shm/hub.c", "\t\t\tindex_leave(&hub->index, slot, t);\n\tCRASH", "\t\t\tcontinue;\n\tCRASH", "test_hub")
M("cleared-slot-is-behind", "shm/hub.c", "\tatomic_store(&s->delivered, ring_tail(&hub->ring));\n", "", "test_hub")
M("keeper-does-not-repair-the-hub", "master/supervisor.c", "\t\thub_repair(s->hub, s->slot);\n", "\t\t;\n", GO_THROUGH, points="publish-committed", quick=False)
M("master-does-not-repair-the-hub", "master/slots_death.c", "\thub_repair(&m->hub, slot);\n", "", RECOVERY + "test_keeper_dies_while_its_worker_publishes", quick=False)

# ---- without a master ----

M("nobody-inherits-the-lock", "shm/hub.c", "\t\tlock_inherit(&shm->lock, mend, hub);\n", "\t\t;\n", "test_hub")
M("lock-of-the-living-is-taken", "shm/lock.c", " || !process_ended(pid) ||", " ||", "test_lock")
M("lock-is-inherited-twice", "shm/lock.c", "while ((word & ~LOCK_WAITERS) == dead)", "while (lock_number(word) == lock_number(dead))", "test_lock")
M("heir-puts-nothing-right", "shm/hub.c", "\tput_right(hub);\n\thub_wake_all", "\thub_wake_all", "test_hub")
M("heir-settles-nothing", "shm/hub.c", "\tif (number <= INDEX_SLOTS_MAX)\n\t\tsettle(hub, number - 1, true);\n", "", "test_hub")
M("two-bridges", "master/bridge.c", "\tprocess_end_orphan(pid, m->workers_uid, NAME);\n", "", "test_without_master.Bridge.test_masters_are_killed", quick=False)
M("two-journals", "master/data.c", "\tprocess_end_orphan(atomic_exchange(&journal_of(m)->pid, 0), m->workers_uid, DATA_NAME);\n", "\tatomic_store(&journal_of(m)->pid, 0);\n", "test_without_master.Journal.test_masters_are_killed", quick=False)
M("data-leaves-with-the-master", "master/data_process.c", "if (!is_orphan(d) || !process_slots_ended(&d->hub))", "if (!is_orphan(d))", "test_without_master.Journal.test_masters_are_killed", quick=False)
M("data-that-nobody-knows", "master/data_process.c", "\tif (is_orphan(d))\n\t\treturn -1;\n", "", "test_without_master.Begins", quick=False)

# ---- history ----

M("hub-repair-without-history", "shm/hub.c", "\thistory_repair(&hub->history);\n", "", "test_history")
M("hub-repair-does-not-follow", "shm/hub.c", "\thistory_repair(&hub->history);\n\thub_follow(hub);\n", "\thistory_repair(&hub->history);\n", "test_history")
M("cleared-slot-keeps-its-pin", "shm/hub.c", "\tatomic_store(&s->pinned, 0);\n", "", "test_history")
M("predecessors-pin-is-lost", "shm/hub.c", "if (--hub->pins == 0 && hub->pin_is_ours)", "if (--hub->pins == 0)", "test_history")
M("publish-does-not-follow", "shm/publish.c", "\thub_follow(hub);\n", "", "test_publish")
M("unheard-is-not-kept", "shm/publish.c", "if (topic == TOPIC_NONE && history_rules_find(", "if (0 && history_rules_find(", "test_publish")
M("kept-topic-is-left", "shm/index.c", "if (interest_of(t) == bit && t->kept != TOPIC_KEPT)", "if (interest_of(t) == bit)", "test_index")
M("freed-entry-stays-kept", "shm/index.c", "\t\t\tt->kept = TOPIC_KEPT_NOT;\n\t\t\tt->next = shm->free;", "\t\t\tt->next = shm->free;", "test_index")
M("pinned-pages-are-taken", "shm/history.c", "return b->free_first && run->freed < pinned ? run : NULL;", "return b->free_first ? run : NULL;", "test_history")
M("no-pages-ahead", "shm/history.c", "h->shm->pages - h->shm->pages / AHEAD;", "h->shm->pages;", "test_history")
M("quiet-topic-gives", "shm/history.c", "s->pages + need <= share)", "true)", "test_history")
M("miss-leaves-a-gap", "shm/history.c", "\t\tmiss(h, d->topic, seq);\n", "\t\th->counts.missed++;\n", "test_history")
M("gap-is-joined", "shm/history.c", "history_page(h, s->first)->number + s->messages == m->number", "true", "test_history")
M("dropped-rule-leaves-a-gap", "shm/history.c", "\t\t\tdrop(h, d->topic);\t", "\t\t\t;\t", "test_history")
M("no-room-is-made", "shm/history.c", "\tbegin_anew(h, topic, m);\n\tmake_room(h, topic, pages_for(total));\n", "\tbegin_anew(h, topic, m);\n", "test_history")
M("sweep-lets-nothing-go", "shm/history.c", "\t\tindex_release(ix, topic);\n", "\t\t;\n", "test_history")
M("snapshot-without-what-is-known", "shm/snapshot_hub.c", "snapshot_put_uint(w, \"from\", there ? kept->from : 0);", "snapshot_put_uint(w, \"from\", 1);", "test_snapshot_history")

M("ended-topic-stays-kept", "shm/index.c", "\tt->kept = TOPIC_KEPT_NOT;\n\tunlink_topic", "\tunlink_topic", "test_index")
M("kept-topics-take-all-places", "shm/index.c", "ix->shm->topics_max - ix->shm->topics_max / 4)", "ix->shm->topics_max)", "test_index")
M("sweep-is-idle-too-soon", "shm/history.h", "return history_idle(h) && h->looked_through >= h->ring->index->shm->high;", "return history_idle(h);", "test_history", quick=False)
M("note-of-what-is-gone", "shm/history_read.c", " &&\n\t       history_page(h, s->first)->seq <= note->seq;", ";", "test_history")
M("note-behind-what-is-sought", "shm/history_read.c", " && (by_number ? note->number : note->seq) <= key &&", " &&", "test_history")
M("notes-are-not-used", "shm/history_read.c", "is_good(h, s, note, rec, by_number, key) ? note->page : s->first;", "is_good(h, s, note, rec, by_number, key) ? s->first : s->first;", "test_history")
M("unheard-at-this-tail", "shm/hub.c", "return tail + (hub->index.shm->unheard == tail);", "return tail;", "test_history")
M("rules-always-agree", "shm/hub.c", "return hub_rules_agree(hub) ? ", "return hub_rules_agree(hub) || true ? ", "test_history", "test_recovered.Rules.test_one_keeps_and_another_does_not")

# ---- the journal ----

DATA = "test_data."
M("journal-checks-no-sums", "shm/journal_file.c", "if (checksum(seed, record) != head.crc || ", "if (", "test_journal")
M("journal-sums-without-id", "shm/journal_file.c", "checksum(record->type == JOURNAL_HEAD ? 0 : out->seed, record)", "checksum(0, record)", "test_journal")
M("journal-reads-later-versions", "shm/journal_file.c", "if (version > JOURNAL_VERSION)", "if (0)", "test_journal")
M("journal-behind-its-note", "shm/journal_write.c", "if (!same || ftruncate(fd, (off_t)end) < 0)", "if (!same)", "test_journal")
M("journal-of-another-id", "shm/journal_write.c", " && id != 0 && in.head.id == id &&", " &&", "test_journal")
M("journal-notes-before-it-writes", "shm/journal_write.c", "\tif (j->out.used > 0) {\n\t\tif (journal_flush", "\tstore(&shm->next, next);\n\tif (j->out.used > 0) {\n\t\tif (journal_flush",
  DATA + "Trouble.test_full", quick=False)
M("journal-passes-over-what-is-gone", "shm/journal_write.c", "if (put_history(j, load(&shm->next), tail) < 0 || flush(j, tail) < 0)", "if (flush(j, tail) < 0)", "test_journal")
M("journal-claims-too-much", "shm/history_read.c", "rec->prev = (by_number || key < s.from ? s.from : key) - 1;", "rec->prev = 0;", "test_journal")
M("journal-reads-what-is-there-twice", "shm/journal_read.c", " && m.seq <= s->newest_seq)", " && 0)", "test_journal")
M("journal-without-a-leap", "shm/journal_read.c", "uint64_t tail = x->tail + JOURNAL_JUMP;", "uint64_t tail = x->tail;", "test_journal")
M("journal-knows-all", "shm/journal_read.c", "hub->index.shm->unknown = hub->index.shm->unheard = tail;", "hub->index.shm->unheard = tail;", "test_journal")
M("journal-forgets-what-was-unknown", "shm/journal_read.c", "\thub->index.shm->unknown = x->in.head.unknown;\n", "", "test_journal")
M("journal-brings-back-what-was-dropped", "shm/journal_read.c", "x->listed[topic] ? topic_of(x, topic)->published : 0);", "topic_of(x, topic)->published);", "test_journal")
M("journal-vouches-for-other-rules", "shm/journal_read.c", "if (x->end.rules != x->j->rules)", "if (0)", "test_journal")
M("journal-ends-in-its-middle", "shm/journal_read.c", "\tx->ended = false;\n\tunlinkat", "\tunlinkat", DATA + "Trouble.test_torn", "test_journal")
M("disowned-journal-keeps-its-end", "shm/journal_read.c", "if (end && (pwrite(", "if (0 && (pwrite(", "test_journal")
M("disowned-journal-keeps-its-epoch", "shm/journal_read.c", "\tj->hub->shm->epoch = hub_now();\n", "", "test_journal")
M("resume-trusts-a-killed-server", "worker/service/replay.c", "if (whole && seq + 1 >= service->base->hub.index.shm->unknown)", "if (whole)", DATA + "Restart.test_all_killed")
M("unknown-is-not-in-the-snapshot", "shm/snapshot_hub.c", "snapshot_put_uint(w, \"unknown\", hub->index.shm->unknown);", "snapshot_put_uint(w, \"unknown\", 0);", DATA + "Writer.test_unknown_outlives_an_upgrade", quick=False)
M("data-dies-with-the-lock", "master/data.c", "\t\tlock_release(lock, ours);\n", "\t\t;\n", DATA + "Points.test_dies_with_the_lock", quick=False)
M("data-is-not-made-again", "master/data.c", "\tif (!replaced || make(m) < 0)\n\t\tmake_later(m);\n", "", DATA + "Writer.test_killed_again_and_again", quick=False)
M("data-is-killed-at-the-end", "master/data.c", "\tkill((pid_t)m->h.data, SIGUSR1);\n\tm->data_timer", "\tkill((pid_t)m->h.data, SIGKILL);\n\tm->data_replaced = true;\n\tm->data_timer", DATA + "Restart.test_stop")
M("hanging-disk-is-not-said", "master/slots_watch.c", "\tdata_look(m, now);\n", "", DATA + "Trouble.test_hangs", quick=False)
M("data-without-a-lock", "master/data_process.c", "while (flock(fd, LOCK_EX | LOCK_NB) < 0)", "while (0)", DATA + "Trouble.test_second_server")
M("failed-sync-is-passed-over", "shm/journal_write.c", "\t\tstore(&j->hub->shm->journal.id, 0);\n\t\treturn -1;\n", "\t\treturn -1;\n", DATA + "Points.test_sync_fails", quick=False)

# ---- subscribing with a past, and polls ----

HISTORY = "test_history."
FAULTS = "test_history_faults."
RECOVERED = "test_recovered."
M("resume-is-not-noted", "worker/service/replay.c",
  "\tatomic_store_explicit(&slot->opening, OPENING(c->sid, atomic_load_explicit(&s->subscriptions, memory_order_relaxed)), memory_order_release);\n", "",
  HISTORY + "Deaths.test_points", quick=False)
M("resume-is-not-undone", "worker/service/replay.c", "\t\tatomic_store_explicit(&s->subscriptions, (uint32_t)opening, memory_order_release);\n", "\t\t;\n",
  HISTORY + "Deaths.test_points", quick=False)
M("resume-repeats-what-was-sent", "worker/service/replay.c", "\t\tmark_from(service, c->sid);\n", "\t\t(void)mark_from;\n", HISTORY + "Replay.test_other_topics_go_on")
M("resume-within-a-frame", "worker/service/replay.c", "\tif (s->state.flags & SESSION_CUT) {\n", "\tif (false) {\n", HISTORY + "Replay.test_resume_in_the_middle_of_a_frame")
M("resume-begins-now", "worker/service/replay.c", "\tif (replay->begin < st->pos)\n\t\tst->pos = replay->begin;\n", "", HISTORY + "Replay.test_since", quick=False)
M("second-name-was-had-before", "worker/service/replay.c", "if (replay->resume->kind != RESUME_NOT && is_new(service, sid, subscription))",
  "if (false && is_new(service, sid, subscription))", RECOVERED + "Recovered.test_named_twice")
M("what-was-had-is-recovered", "worker/service/replay.c", "\t\treturn;\n\treplay->recovered = false;\n\treplay->apart", "\t\treturn;\n\treplay->apart", RECOVERED + "Recovered.test_had_before")
M("always-recovered", "worker/service/request.c", "o->recovered = replay.recovered;", "o->recovered = true;", HISTORY + "Replay.test_not_recovered")
M("sends-of-history-are-not-noted", "worker/delivery/output.c", "\tif (p->noted)\n\t\tlanded_noted(o->streams, sid, p->notes);\n", "", HISTORY + "Deaths.test_cut", quick=False)
M("frame-of-history-is-not-kept", "worker/delivery/landed.c", "if (sent->page && !told && keep_noted(streams, sid, st, sent) < 0)", "if (false && keep_noted(streams, sid, st, sent) < 0)",
  HISTORY + "Replay.test_reader_that_stops")
M("cut-frame-of-history-begins-anew", "worker/delivery/landed.c", "\t\t\tst->cut = (uint32_t)bytes;\n\t\t\tst->flags |= SESSION_CUT | SESSION_BEHIND;\n\t\t\treturn 0;",
  "\t\t\tst->cut = 0;\n\t\t\tst->flags |= SESSION_CUT | SESSION_BEHIND;\n\t\t\treturn 0;", HISTORY + "Replay.test_reader_that_stops")
M("history-read-without-a-pin", "worker/delivery/output.c",
  "\t\thub_pin(&o->base->hub, o->base->number);\n\t\tr = send_on(o, sid, &st, share);\n\t\thub_unpin(&o->base->hub, o->base->number);\n",
  "\t\tr = send_on(o, sid, &st, share);\n", "test_output")
M("history-does-not-spare-the-ring", "worker/delivery/stream.c", "\t\tt->next = old;\n", "\t\t;\n", HISTORY + "Replay.test_what_the_ring_is_about_to_overwrite")
M("history-jumps-over-the-ring", "worker/delivery/stream.c", "generation, from, t->next.seq + 1, &old)", "generation, from, UINT64_MAX, &old)",
  HISTORY + "Replay.test_what_the_ring_has_longer_than_history")
M("kept-first-behind-others", "worker/delivery/output.c", "\n\t\t\t       (!t->next.place.page && partial_must_keep(o->partial, t->next.id)))) {", "\n\t\t\t       false)) {", "test_output")
M("poll-is-sent-records", "worker/delivery/output.c", "if (st->transport == TRANSPORT_HTTP) {\t/*", "if (false) {\t/*", "test_output", FAULTS + "Polls.test_of_a_session_behind")
M("blocked-input-is-read", "worker/session/session.c", "MARK_STALLED | MARK_ENDED | MARK_OUTPUT_BLOCKED) &&", "MARK_STALLED | MARK_ENDED) &&", "test_session")
M("full-buffer-is-an-end", "worker/io/receive.c", "\tif (room == 0)\n\t\treturn RECEIVED_NOTHING;", "\tif (false)\n\t\treturn RECEIVED_NOTHING;", "test_receive")
M("poll-reads-all-behind-it", "worker/session/session.c", "\n\t    st->out_end - st->out_start <= SESSION_OUT_MAX && !has_enough(base, sid))", "\n\t    st->out_end - st->out_start <= SESSION_OUT_MAX && (!has_enough(base, sid) || true))", "test_session")
M("poll-subscribes-for-ever", "worker/protocol/http_history.c", "\tpoll_end(service, x->c->sid);\n", "", HISTORY + "Poll.test_what_comes")
M("poll-begins-anew-after-a-death", "worker/service/poll.c", "bool again = session_polls(service->base, sid);", "bool again = false;", FAULTS + "Polls.test_over_a_death")
M("next-poll-goes-on-from-the-last", "worker/session/session.h", "s->until != 0 && s->page_base == (uint32_t)s->state.parsed;", "s->until != 0;", FAULTS + "Polls.test_next_one_over_a_death", quick=False)
M("rule-goes-and-its-topic-stays", "shm/history.c", "\t\tif (t->kept == TOPIC_KEPT)\n\t\t\tindex_release(h->ring->index, d->topic);\n", "", "test_history")

# ---- the list of topics ----

M("users-are-listed", "shm/topics.c", "t->name[0] != NAME_INBOX && ", "", "test_topics")
M("list-is-not-bounded", "shm/topics.c", "\t\tscan->looks -= cost < scan->looks ? cost : scan->looks;\n", "\t\t(void)cost;\n", "test_topics")
M("topic-has-anothers-rate", "shm/index.c", "\tt->pulse = 0;\n", "", "test_topics")
M("list-is-always-on", "worker/protocol/http_topics.c", "settings->topics == TOPICS_OFF && !exchange_is_admin(x))", "settings->topics > TOPICS_ON)", "test_topics.Off.test_off_by_default")

# ---- publishing ----

M("no-nudge-of-sleepers", "shm/publish.c", "claim_wakeups(hub, (written.interested | asleep) & ~(1ull << slot))", "claim_wakeups(hub, written.interested & ~(1ull << slot))", "test_publish")
M("no-nudge-when-put-off", "shm/publish.c", "\tuint64_t wake = claim_wakeups(hub, asleep);\n", "\tuint64_t wake = 0 * asleep;\n", "test_publish")
M("no-flow-control", "shm/publish.c", "#define LAG_MAX 512\t", "#define LAG_MAX 1024\t", "test_publish")
M("no-intent", "shm/publish.c", "\tatomic_store_explicit(&intent->state, INTENT_WRITTEN, memory_order_release);\n", "", GO_THROUGH, points="publish-committed")
M("intent-too-late", "shm/publish.c",
  "\t\tuint64_t number = keyed->change ? 0 : intend(hub, slot, fd, &batch, items, n, answers, keyed);\n\n\t\tCRASH_POINT(\"publish-intended\");\n\t\tcommit(hub, &batch, number, keyed->change);\n",
  "\t\tCRASH_POINT(\"publish-intended\");\n\t\tcommit(hub, &batch, 0, keyed->change);\n\t\tintend(hub, slot, fd, &batch, items, n, answers, keyed);\n",
  GO_THROUGH, points="publish-committed")
M("flood-is-published", "worker/protocol/http.c", "if (flood_has(protocols->service, c->sid, 1)) {", "if (flood_has(protocols->service, c->sid, 0)) {", "test_limits.Floods.test_what_is_too_much_is_not_done")
M("half-a-list-is-published", "shm/publish.c", "\t\tring_repair(&hub->ring);\t/* all or none */\n", "", "test_publish")
M("answered-publishes-twice", "shm/publish.c", "\t\tpublish_recall(hub, intent->first, intent->written, items, count);\n\t\treturn 0;\n", "\t\t;\n", "test_publish")
M("recalls-anothers", "shm/publish.c", " && intent->fd == (uint32_t)fd &&", " &&", "test_publish")
M("recalls-another-request", "shm/publish.c", "\n\t    intent->parsed == items[count - 1].parsed) {", "\n\t    true) {", "test_publish")

# ---- keys of publishes ----

M("key-is-staged-too-late", "shm/publish.c",
  "\tif (number) {\n\t\tonce_stage(&hub->once, number, batch->next);\n\t\tCRASH_POINT(\"publish-staged\");\n\t}\n"
  "\tif (batch->next != batch->first)\n\t\tring_commit(&hub->ring, batch);\n\tCRASH_POINT(\"publish-committed\");\n",
  "\tif (batch->next != batch->first)\n\t\tring_commit(&hub->ring, batch);\n\tCRASH_POINT(\"publish-committed\");\n"
  "\tif (number) {\n\t\tonce_stage(&hub->once, number, batch->next);\n\t\tCRASH_POINT(\"publish-staged\");\n\t}\n",
  "test_once.CrashPoints.test_who_comes_again")
M("hub-repair-without-keys", "shm/hub.c", "\tonce_repair(&hub->once, ring_tail(&hub->ring));\n", "", "test_once")
M("key-without-a-record-is-not-published", "shm/hub.c", "\t\treturn once_is_staged(&hub->once, intent->keyed);\n", "\t\treturn false;\n", "test_once")
M("staged-key-is-published", "shm/once.c", "\tif (tail >= o->shm->needs)\n", "\tif (true)\n", "test_once")
M("staged-key-is-forgotten", "shm/once.c", "\tif (tail >= o->shm->needs)\n", "\tif (false)\n", "test_once")
M("linked-key-is-linked-again", "shm/once.c", "\tif (load(head) != number) {\n", "\tif (true) {\n", "test_once")
M("keys-are-never-too-old", "shm/once.c", "return counts(o, number, now) ? number : 0;", "return number;", "test_once")
M("keys-give-way-unheard", "shm/once.c", "\t\t*evicted += counts(o, oldest, now);\n", "\t\t;\n", "test_once")
M("key-of-another-message", "shm/publish.c", "!once_is_same(&hub->once, number, once) || ", "", "test_once")
M("key-goes-everywhere", "worker/service/publish_batch.c", "key->many ? 0 : items->topic_len", "0", "test_once.Once.test_http")
M("key-of-the-first-message", "worker/service/publish_batch.c", "\tfor (unsigned i = 0; i < service->item_count; i++) {\n\t\tonce_add", "\tfor (unsigned i = 0; i < 1; i++) {\n\t\tonce_add", "test_once.Once.test_many")
M("unanswered-have-no-key", "worker/service/request.c", " && req->key.len == 0) {", ") {", "test_once.Once.test_websocket")
M("keys-are-left-behind", "shm/snapshot_hub.c", "\tfor (uint32_t i = 0; i < keys.len; i++)\n", "\tfor (uint32_t i = 0; i < 0; i++)\n", "test_snapshot")
M("keys-begin-anew", "shm/snapshot_hub.c", "now > age ? now - age : 0", "now", "test_snapshot")

# ---- the slot segment ----

M("slot-redo-does-nothing", "shm/slot.c", "\tslot_session(slot, (int)fd - 1)->state = s->redo;\n", "", "test_slot")
M("slot-redo-again-and-again", "shm/slot.c", "\t\t/* release: the copies are whole */\n\t\tatomic_store_explicit(&s->redo_fd, 0, memory_order_release);\n", "", "test_slot")
M("emptied-slot-keeps-connections", "shm/slot.c", "\t\tif (close_sessions)\n\t\t\tclose((int)i);\n", "\t\t(void)close_sessions;\n", "test_slot")

# ---- what peers make the server keep ----

M("claimed-not-charged", "shm/buffer_pool.c", "\tpool->held += head->charged;\n", "", "test_buffer_pool")
M("warm-for-ever", "shm/buffer_pool.c", "frees - pool->class[c].clean;\n\t}\n\tpool->spare = 0;", "frees - pool->class[c].frees;\n\t}\n\tpool->spare = 0;", "test_buffer_pool")
M("page-of-others-punched", "shm/buffer_pool.c", "\t\tif (is_taken(pool, c, (uint32_t)place))\n\t\t\treturn true;\n", "\t\t(void)pool;\n", "test_buffer_pool")
M("no-share-of-the-limit", "shm/buffer_pool.c", "\treturn kept + bytes <= pool->share || kept + bytes <= pool->common;\n", "\treturn kept + bytes <= pool->common;\n", "test_buffer_pool")
M("nobody-goes-for-memory", "worker/loop/memory_limit.c", "\t\tif (sid >= 0 && weigh(w, ref, sid) >= weight)\n", "\t\tif (false && weight)\n", "test_memory.Budget.test_dribbling_does_not_help")
M("dribbling-helps", "worker/io/receive.c", "\tif (head->base + head->len == st->parsed)\n\t\thead->since = base->now;\n", "\thead->since = base->now;\n",
  "test_memory.Unfinished.test_flash")
M("no-share-of-subscriptions", "worker/service/subscribe.c", "\tif (s->count < SLOT_SHARE)\n\t\treturn true;\n", "\t(void)s;\n", "test_memory.Subscriptions.test_share")

# ---- a worker's start ----

M("no-slot-redo", "worker/loop/recover.c", "\tslot_redo(&w->base.slot);\n\ttls_redo", "\ttls_redo", RECOVERY + "test_half_a_commit")
M("publish-not-marked", "worker/loop/recover.c", "\t\t\tst.parsed = intent->parsed;\n", "\t\t\t;\n", GO_THROUGH, points="publish-committed")
M("publish-marked-though-unanswered", "worker/loop/recover.c",
  "\tif (intent->answered && is_open(w, intent->fd) && session(&w->base, (int)intent->fd)->state.parsed < intent->parsed)\n\t\treturn;\n", "",
  ANSWERED, points="publish-committed", quick=False)
M("answer-not-resumed-first", "worker/loop/recover.c", "\tresume_answer(w);\n\tresume_sessions(w);", "\tpublish_done(&w->base.hub, w->base.number);\n\tresume_sessions(w);",
  ANSWERED, points="publish-committed")
M("sends-not-landed", "worker/loop/recover.c", "\tland_sends(w);\n", "\t(void)land_sends;\n", GO_THROUGH, points="batch-sent")
M("landed-losses-not-noted", "worker/delivery/landed.c", "\tstream_commit(&s, &st);\n\tbase_count", "\tsession_commit(streams->base, sid, &st);\n\tbase_count",
  RECOVERY + "test_losses_after_a_death_are_told")
M("owed-not-noted", "worker/delivery/landed.c", "\tif (!was_behind && st.flags & SESSION_BEHIND)\n\t\tstream_owed(&s, streams, sid, &st);\n", "", "test_slow.Slow.test_skip_more_than_once")
M("cut-and-not-behind", "worker/delivery/landed.c", "\t\t\tst->flags |= SESSION_CUT | SESSION_BEHIND;\n\t\t\tstream_begun", "\t\t\tst->flags |= SESSION_CUT;\n\t\t\tstream_begun",
  "test_torn.", quick=False)
M("input-not-counted", "worker/loop/recover.c", "\t\tcount_input(w, sid);\n", "\t\t(void)count_input;\n", GO_THROUGH, points="input-received")
M("scan-not-reset", "worker/loop/recover.c", "\tmemset(head->scan, 0, sizeof(head->scan));\n", "\tmemset(head->scan, 1, sizeof(head->scan));\n",
  GO_THROUGH, points="input-received")
M("from-not-raised", "worker/loop/recover.c", "\t\tst.pos = stream_begins(&w->base, sub);\n\t\tslot_commit(&w->base.slot, sid, &st);\n", "\t\t(void)st;\n", RECOVERY + "test_subscribe_behind_own_publish")
M("request-keeps-subscriptions", "worker/loop/recover.c", "\tif (s->state.transport == TRANSPORT_HTTP)\n\t\tatomic_store_explicit(&s->subscriptions, 0, memory_order_release);\n", "",
  GO_THROUGH, points="stream-subscribed")
M("behind-not-counted", "worker/loop/recover.c", "\t\tatomic_fetch_add_explicit(&w->base.self->behind, 1, memory_order_relaxed);\n", "\t\t;\n",
  RECOVERY + "test_cut_frame_is_kept_after_a_death")
M("kept-not-claimed", "worker/loop/recover.c", "\tpartial_take_over(w->partial);\n", "", "test_partial_frames.Deaths.test_one_of_several_is_forgotten")
M("buffers-not-claimed", "worker/loop/recover.c", "\tif (pool_claim(&w->base.pool, st->out) < 0)\n\t\treturn false;\n", "", RECOVERY + "test_buffers_of_two")
M("unheard-not-left", "worker/delivery/local_topics.c", "\t\t\tindex_leave(ix, topics->base->number, i);\n", "\t\t\tcontinue;\n", RECOVERY + "test_topic_half_left")
M("scanned-to-the-tail", "worker/loop/recover.c", "w->topics.scanned = atomic_load_explicit(&w->base.self->delivered, memory_order_acquire);", "w->topics.scanned = ring_tail(&w->base.hub.ring);",
  GO_THROUGH, points="publish-committed")
M("cut-not-taken-over", "worker/loop/recover.c", "\tif (s->state.flags & SESSION_CUT) {\n", "\tif (false) {\n", "test_crash.Worker.test_stream_is_kept")
M("linger-not-shut-again", "worker/loop/recover.c", "\t\t\tshutdown(session_fd(&w->base, sid), SHUT_WR);\t/* again, if it was marked and not done */\n", "\t\t\t;\n",
  RECOVERY + "test_shut_is_shut_again")
M("answers-not-flushed", "worker/loop/recover.c", "\t\t\toutput_flush(&w->output, sid);\n", "\t\t\t;\n", GO_THROUGH, points="accept-opened")
M("input-not-resumed", "worker/loop/recover.c", "\t\t\tinput_resume(&w->protocols, sid);\n\t\telse if", "\t\t\t;\n\t\telse if", RECOVERY + "test_received_and_not_looked_at")
M("blamed-without-fault", "shm/attribution.c", "\tif (death == DEATH_KILLED && count < ATTRIBUTION_KILLS)\n\t\treturn VERDICT_SUSPECT;\n\t*suspect = (struct suspect_shm){ .blamed",
  "\t*suspect = (struct suspect_shm){ .blamed", GO_THROUGH, points="input-received")
M("suspect-forgotten", "shm/attribution.c", "uint32_t count = same ? suspect->count + 1 : 1;", "uint32_t count = 1 + 0 * same;", "test_attribution")
M("blamed-forgotten", "shm/attribution.c", "\tif (!s->suspect.blamed)\n\t\ts->suspect.blamed = blamed;\n", "\t(void)blamed;\n", "test_attribution")
M("record-not-skipped", "shm/attribution.c", "\tskip(s, encoding);\n", "", "test_attribution")
M("nobody-blamed", "worker/loop/recover.c", "if (on && is_open(w, on - 1)) {", "if (false && on) {",
  "test_crash_points.CrashPoints.test_own_fault_costs_one_connection")
M("orphans-not-adopted", "worker/loop/orphans.c", "if (!has_moved(w, fd) && untouched(fd) && listener_of(w, fd))", "if (false)", GO_THROUGH, points="accept-accepted")
M("orphans-all-adopted", "worker/loop/orphans.c", "if (!has_moved(w, fd) && untouched(fd) && listener_of(w, fd))", "if (listener_of(w, fd))", RECOVERY + "test_connection_half_closed")
M("orphans-beyond-the-limit", "worker/loop/connection.c", " && listener_counts(&w->listeners, fd, a->proto))", ")", "test_http_routes.Routes.test_full_and_killed")
M("refused-are-reset", "worker/loop/refuse.c", "\tif (!more)\n\t\tend(w, r);", "\tif (r->told)\n\t\tend(w, r);", "test_http_routes.Routes.test_full_can_be_read")
M("registered-before-it-is", "worker/session/watch.c", "\tnote(slot, fd, had & events);\n", "\tnote(slot, fd, events);\n", GO_THROUGH, points="watch-lessened", quick=False)
M("reported-for-ever", "worker/session/watch.c", "return registered & ~wants || !wants ?", "return !wants ?", "test_watch")
M("half-done-is-not-done-again", "worker/session/watch.c", "if (had ? errno == ENOENT : errno == EEXIST)", "if (false)", "test_watch")
M("another-program-s-set", "worker/session/watch.c", "if (!was_elsewhere(slot) && is_set", "if (is_set", "test_watch")
M("closed-and-registered", "worker/loop/connection.c", "\twatch_end(&w->base.slot, session_fd(&w->base, sid));\n\tw->base.marks", "\tw->base.marks", "test_watch.Watch.test_borrowed", quick=False)
M("each-worker-its-own-set", "worker/loop/orphans.c", " || fd == watch_set(&w->base.slot))", ")", "test_watch.Watch.test_outlives_workers", quick=False)
M("orphans-stay-open", "worker/loop/orphans.c", "w->orphans_room, fd);\n\tclose(fd);\n", "w->orphans_room, fd);\n", "test_crash.Leaks.test_descriptors")
M("fin-counts-as-input", "worker/io/tcp_counts.c", " - (uint64_t)queued - (uint64_t)fin_arrived(&ti);", " - (uint64_t)queued - 0 * (uint64_t)fin_arrived(&ti);",
  RECOVERY + "test_end_behind_input")
M("queued-input-counts", "worker/io/tcp_counts.c", "ti.tcpi_bytes_received - (uint64_t)queued -", "ti.tcpi_bytes_received -", RECOVERY + "test_end_behind_input")
M("unsent-counts-not", "worker/io/tcp_counts.c", "*bytes = acked + (uint64_t)queued;", "*bytes = acked;", RECOVERY + "test_deaths_while_the_rest_is_sent")

# ---- deliveries ----

M("delivered-told-though-apart-wait", "worker/delivery/multi_topic.c", "\treturn a->topics->apart_subscriptions ? a->begin : a->topics->scanned;\n", "\treturn a->topics->scanned;\n",
  RECOVERY + "test_death_with_sessions_due")
M("chain-outlives-its-session", "worker/delivery/multi_topic.c", "\tif (c)\n\t\tc->first = 0;\n", "\t(void)c;\n", APART + "test_leaving_in_the_middle_of_a_window")
M("chain-outlives-a-subscription", "worker/delivery/multi_topic.c", "\t\tc->changed = true;\n", "\t\t;\n", APART + "test_leaving_in_the_middle_of_a_window")
M("noted-from-before-the-subscribe", "worker/delivery/multi_topic.c", "\t\tif (rec->seq >= a->base->slot.subscriptions[s->subscription].from)\n", "",
  "test_apart.ComingAndGoing.test_topics_come_and_go")
M("partly-is-all", "worker/delivery/multi_topic.c", "\t\tif (!a->partly)\n\t\t\ta->begin = a->end;\n", "\t\ta->begin = a->end;\n", APART + "test_more_subscribers_than_a_window")
M("put-off-is-passed-over", "worker/service/publish_batch.c", "done ? service->items[done - 1].parsed : c->batch_from, heavy);", "c->at, heavy);", "test_publish_batch")
M("flags-without-their-message", "worker/service/publish_batch.c", "\t\tst.flags |= service->items[done - 1].flags;\n", "", "test_publish_batch")
M("stream-though-refused", "worker/service/request.c", "\t\to->state = session(service->base, c->sid)->state;\n\t}\n", "\t}\n", "test_request")
M("answer-without-its-input", "worker/service/request.c", "\t\to->state.parsed = after;\n", "", "test_request")
M("ended-before-it-is-answered", "worker/protocol/input.c", "\tif (is_held_up(protocols, sid)) {\n", "\tif (false) {\n", "test_input")
M("blocked-and-read-on", "worker/protocol/input.c", "cursor_left(&c) > 0 && !output_is_blocked(protocols, sid) && step_of", "cursor_left(&c) > 0 && step_of", "test_input")
M("piece-is-all", "worker/delivery/multi_topic.c", "pos = c->first ? a->item[a->note[c->first - 1].item].id :", "pos = true ? a->end :",
  APART + "test_more_than_one_send")
M("overtaken-apart-forgotten", "worker/delivery/multi_topic.c", "\t\t\tdefer_subscribers(a, a->topics->of[i]);\n", "\t\t\t(void)defer_subscribers;\n", APART + "test_the_ring_went_round")
M("owed-before-it-went-apart", "worker/service/subscribe.c", "\tif (owed) {\n", "\tif (false && owed) {\n", APART + "test_second_topic_in_the_middle_of_a_pass")
M("delivered-told-though-queued", "worker/delivery/fanout.c", "\t\t\tleast = t->first;\n", "\t\t\t;\n", RECOVERY + "test_death_within_a_pass")
M("ring-does-anything", "worker/io/uring.c", "\t\trestrict_to_sends(ring);", "\t\t(void)restrict_to_sends;", "test_uring")
M("installed-file-must-be-there", "master/config_file.c", "if (!r->file && installed &&", "if (false && installed &&", "test_config")
M("installed-file-wins", "master/config.c", "\tif (source->file)\n\t\tconfig_file_read(", "\tif (source->file && !source->installed)\n\t\tconfig_file_read(",
  "test_config")
M("flights-not-listed", "worker/io/send_batch.c", "\tatomic_store_explicit(&s->flights, b->count, memory_order_release);\n", "", GO_THROUGH, points="batch-sent")
M("flight-not-listed", "worker/io/send_batch.c", "\tatomic_store_explicit(&b->base->slot.shm->flights, 1, memory_order_release);\n", "", GO_THROUGH, points="send-sent")
M("cut-forgotten-by-a-death", "worker/delivery/landed.c", "\t\t\tst->cut = (uint32_t)bytes;\n\t\t\tst->flags |= SESSION_CUT | SESSION_BEHIND;\n\t\t\tstream_begun",
  "\t\t\tst->cut = 0;\n\t\t\tst->flags |= SESSION_CUT | SESSION_BEHIND;\n\t\t\tstream_begun", "test_slow.Slow.test_large_frames")
M("rest-of-a-cut-frame-miscounted", "worker/delivery/landed.c", "\tleft = size - st->cut;\n", "\tleft = size;\n", RECOVERY + "test_deaths_while_the_rest_is_sent")
M("loss-is-told-again", "shm/slot.h", "\tsub->number = passed->number;\n", "", "test_output")
M("redo-tells-a-loss-again", "shm/slot.c", "if (passed->subscription != 0 &&", "if (0 && passed->subscription != 0 &&", "test_output")
M("redo-of-a-loss-stays", "shm/slot.c", "\ts->redo_passed.subscription = 0;\n", "", "test_output")
M("latest-is-the-oldest", "worker/delivery/output.c", "\tif (latest)\n\t\tstream_jump(s, t);\n", "", "test_output")
M("notice-goes-alone", "worker/delivery/output.c", "\t\t\tfollow_notice(o, &s, st);\n", "", "test_output")
M("notice-disconnects-others", "worker/delivery/output.c", "session_append_if_room(o->base, s->sid, st, text, len)", "session_append(o->base, s->sid, st, text, len)", "test_output")
M("latest-tells-of-half", "worker/delivery/stream.c", "\tt->lost += (uint32_t)newest.number - t->number;\n", "", "test_output")
M("broadcasts-have-no-rule", "shm/slow_rules.c", "*name == NAME_EVERYBODY &&", "*name == NAME_EVERYBODY && 0 &&", "test_slow_rules")
M("a-listener-stands-before-all-rules", "shm/slow_rules.c", "return is_for_all(rule) && listener", "return listener", "test_slow_rules")
M("moved-without-its-listener", "worker/loop/move.c", "SESSION_SLOW_IS(m->listener % MOVED_ADMIN) | ", "", "test_slow.SlowByListener.test_attached")
M("a-reload-keeps-listeners-words", "master/listen.c", "\tlistener->slow = address->slow;\n", "", "test_slow.SlowByListener.test_survives")
M("never-swept-for-its-listener", "worker/loop/sweep.c", " || session_slow(st) == SLOW_DISCONNECT", "", "test_slow.SlowByListener.test_never_reads")
M("a-listener-makes-nobody-late", "worker/loop/sweep.c", "TRANSPORT_HTTP || !session_plain(st)", "TRANSPORT_HTTP || st->flags", "test_slow.SlowByListener.test_time_limits")
M("stream-ignores-since-when", "worker/delivery/stream.c", "\t\tfrom = behind > t->subscription->from ? behind : t->subscription->from;\n", "\t\tfrom = behind;\n",
  APART + "test_second_topic_of_one_behind")
M("predecessor-not-noted", "worker/delivery/subscription_list.c", "\tif (next)\n\t\tsubscription_list_follow(topics, before, next);\n", "", "test_subscription_list")
M("list-not-told-of-its-order", "worker/loop/recover.c", "\t\t\tsubscription_list_follow(&w->topics, before, i);\n", "\t\t\t(void)before;\n", APART + "test_leaves_after_a_death")
M("not-protected", "worker/loop/worker.c", "\tbool more = !partial_protect(w->partial);\n", "\tbool more = false;\n", "test_slow.SlowWeb.test_large_cut_frames_are_kept")
M("kept-not-unlinked", "worker/delivery/partial_frame.c", "\t\tatomic_store_explicit(link_to(partial, p), next, memory_order_release);\n", "\t\t(void)next, (void)link_to;\n",
  "test_partial_frames.Deaths.test_one_of_several_is_forgotten")

# ---- on the wire ----

VOCABULARY = "test_vocabulary.Vocabulary."
M("cut-frame-loses-its-topic", "worker/service/subscribe.c", "\tpartial_hold(service->streams->partial, sid, st);\n", "", VOCABULARY + "test_cut_frame_of_a_topic_that_is_gone")
M("members-say-whom-it-is-to", "worker/delivery/frame.c", "\treturn *t->name == NAME_INBOX ? MESSAGE_TO_USER :", "\treturn",  VOCABULARY + "test_message_or_answer")
M("forged-members-pass", "proto/message_view.c", "view->goes_to = own == 1 ? to : MESSAGE_TO_UNKNOWN;", "view->goes_to = to;", "test_web_message", "test_packet_written")
M("unknown-members-are-dropped", "proto/web_request.c", "\tif (found->unknown != NULL)\n\t\treturn unknown_member(why, found->unknown);\n", "", "test_web_request")
M("unknown-keys-are-dropped", "proto/packet.c", "\tif (found->unknown.start != NULL)\n\t\treturn error_unknown(", "\tif (false)\n\t\treturn error_unknown(", "test_packet")
M("unknown-parameters-are-dropped", "worker/protocol/http_names.c", "if ((m < MEMBERS && known & 1u << m && !exchange_looks_like_bearer(key, value)) || is_cache_buster(key) ||", "if (m == MEMBERS || known & 1u << m || is_cache_buster(key) ||",
  "test_http_publish.Publish.test_unknown_parameters")
M("array-has-parameters", "worker/protocol/http_publish.c", "return parameters_known(x, 0) && read_key(", "return read_key(", "test_http_publish.Publish.test_unknown_parameters")
M("no-data-is-data", "worker/protocol/http_publish.c", "\tif (req->body.len == 0)\n", "\tif (false)\n", "test_http_publish.Publish.test_no_data")
M("bad-name-in-an-array", "proto/web_request.c", "\t\terror = read_one(item, len, req);\n\t}\n\tif (count", "\t}\n\tif (count", "test_web_request")
M("reserved-names-are-free", "proto/vocabulary.c", "\tif (error != NULL || use == NAME_OF_USER)\n", "\tif (true)\n", "test_web_request", "test_packet")
M("envelope-is-ignored", "proto/transport.c", "(transport_table[t].asked & ~asked) == 0 &&", "(transport_table[t].asked & ~(asked & ~(unsigned)ASKED_ENVELOPE)) == 0 &&", "test_transport")
M("broadcast-is-always-a-feature", "proto/version.c", "{ \"broadcast\", now->broadcast },", "{ \"broadcast\", now->broadcast || true },", "test_transport")

# ---- positions ----

M("silence-of-what-is-missing", "worker/service/replay.c", "\treplay->recovered = false;\n\tif (whole)", "\tif (whole)",
  "test_reconnect.Reconnect.test_what_is_missing_is_told", quick=False)
M("ring-before-history", "worker/delivery/stream.c", "\t\t*rec = old;\n\t\treturn 0;\n", "\t\tif (in_ring)\n\t\t\treturn 0;\n\t\t*rec = old;\n\t\treturn 0;\n",
  "test_reconnect.Reconnect.test_all_is_kept", quick=False)
M("position-behind-what-comes", "worker/service/request.c", "o->position = ring_tail(&service->base->hub.ring) - 1;", "o->position = ring_tail(&service->base->hub.ring);", "test_positions.Positions.test_head")
M("position-of-the-last-name", "worker/service/replay.c", "\tif (begins < replay->begin)\n", "", "test_request")
M("position-with-zeros-in-front", "proto/position.c", "if (len == 0 || (len > 1 && *text == '0'))", "if (len == 0)", "test_position")
M("position-that-overflows", "proto/position.c", "__builtin_mul_overflow(*n, base, n) || __builtin_add_overflow(*n, digit, n)", "__builtin_mul_overflow(*n, base, n) || (*n += digit, false)", "test_position")
M("start-that-is-not-taken", "proto/web_message.c", "\t\tposition_put_start(s, start);\n\t\tsink_literal(s, \"\\n\\n\");", "\t\tposition_put_start(s, start);\n\t\tsink_literal(s, \"\\n\");", "test_web_message")
M("frame-with-the-nodes-id", "proto/web_message.c", "\tif (view->stream.epoch)\n\t\tposition_put_at", "\tif (view->stream.epoch && false)\n\t\tposition_put_at", "test_message_stream", quick=False)
M("stream-lost-between-is-recovered", "worker/service/replay.c", "first == 0 || first > at.seq + 1", "first == 0", "test_since_stream")
M("came-and-gone-is-recovered", "worker/service/replay.c", "return from <= begun && replay_is_of_stream", "return replay_is_of_stream", "test_since_stream", quick=False)
M("stream-ends-where-it-is-noted", "shm/nodes.c", "intent->fd == NODE_OF_STREAM && intent->parsed > last.seq", "intent->parsed > UINT64_MAX - 1", "test_since_stream", quick=False)
M("old-messages-for-new-ones", "worker/service/access.c", "if (has_to_wait(service, rights, name)) {", "if (has_to_wait(service, rights, name) && false) {", "test_since_stream", quick=False)
M("place-behind-all-of-history", "shm/nodes_ids.c", "\t\t\tis_next = true;\n", "\t\t\tis_next = false;\n", "test_since_stream", quick=False)
M("links-back-to-nowhere", "shm/snapshot_hub.c", "\t\tsnapshot_put_uint(w, \"prev\", rec->prev);\n", "\t\tsnapshot_put_uint(w, \"prev\", rec->prev ? first - 1 : 0);\n",
  "test_snapshot", "test_history_upgrade.Upgrade.test_nothing_was_missed")
M("snapshot-with-another-epoch", "shm/snapshot_hub.c", "\tx->hub->shm->epoch = snapshot_get_uint(", "\t(void)snapshot_get_uint(", "test_upgrade.Upgrade.test_positions_go_on")

# ---- hand-over ----

M("not-kept-for-a-snapshot", "worker/loop/worker.c", "\tpartial_keep_all(w->partial);\n", "", "test_upgrade.Upgrade.test_another_layout")
M("orders-taken-while-starting", "master/supervisor.c",
  "return s->worker == 0 || (!s->asked && atomic_load(&shm_of(s)->state) == SLOT_LIVE);", "return !s->asked;",
  RECOVERY + "test_order_while_a_worker_starts")
M("no-fault-is-its-own", "master/supervisor.c", "\t\t\treturn DEATH_FAULT;\n\treturn DEATH_KILLED;", "\t\t\tbreak;\n\treturn DEATH_KILLED;",
  RECOVERY + "test_own_fault_at_resume")
M("crash-loop-goes-on", "master/supervisor.c", "\t\treturn false;\n\t}\n\tsupervisor_start(s);\n", "\t\tbreak;\n\t}\n\tsupervisor_start(s);\n", "test_supervisor")
M("killed-is-a-crash-loop", "master/supervisor.c", "if (progress || verdict != VERDICT_NONE || death == DEATH_KILLED)", "if (progress || verdict != VERDICT_NONE)", "test_supervisor")
M("passed-descriptors-leak", "master/orders.c", "\tdescriptors_close(passed, 1);\n", "", "test_orders")
M("too-many-passed-leak", "master/orders.c", "\t\tdescriptors_close(&passed, 0);\n\t\tbad(", "\t\tbad(", "test_orders")
M("sessions-end-unnoted", "worker/loop/connection.c", "\t\tatomic_store_explicit(&w->base.slot.shm->fd_end, (uint32_t)sid + 1, memory_order_relaxed);\n", "\t\t;\n",
  RECOVERY + "test_received_and_not_looked_at", quick=False)
M("closed-keeps-subscriptions", "worker/loop/connection.c", "\tleave_all(&w->topics, w->multi_topic, sid, s->state.transport);\n\tsession_count", "\tsession_count", GO_THROUGH, points="close-freed", quick=False)
M("hands-over-though-it-stops", "worker/loop/worker.c", "\tw->snapshot_wanted = false;\n\tev_break(loop, EVBREAK_CANCEL);\n", "", "test_stop.Stop.test_worker_told_both_at_once")
M("keeper-makes-a-worker-beside-another", "master/spare.c", "\twhile (!gone) {\n", "\twhile (false) {\n", "test_keeper_death.Killed.test_each")
M("spare-does-not-stay-quiesced", "master/spare.c", "k->quiesced = atomic_load(&k->self->state) == SLOT_QUIESCED;", "k->quiesced = false;", "test_keeper_death.Points.test_layout_that_follows", quick=False)
M("spare-is-not-made-again", "master/spare.c", "\treturn (k->spare == 0 || k->spare_old) && ", "\treturn k->spare_old && ", "test_keeper_death.Killed.test_spare", quick=False)
M("spare-does-not-know-what-follows", "master/keeper_follow.c", "\t(void)spare_make(k);\t\t/*", "\t/*", "test_keeper_death.Points.test_without_a_worker", quick=False)
M("spares-go-on-beside-the-next-one", "master/spare.c", " || runtime_dir_followed(k->h.lock, k->slot, k->h.programs);", ";",
  "test_keeper_death.Points.test_layout_that_follows", quick=False)
M("slot-is-left-half-empty", "master/supervisor.c", "\tif (atomic_load(&shm_of(s)->emptying))\n\t\tempty_slot(s);\n", "", "test_keeper_death.Points.test_slot_that_starts_empty", quick=False)
M("order-dies-with-its-keeper", "master/slots_death.c", "} else if (s->ordered && ", "} else if (false && ", "test_keeper_death.Points.test_order", quick=False)
M("worker-of-another-keeps-the-lock", "master/supervisor.c", "->worker, 0);\n\thub_repair(s->hub, s->slot);\n", "->worker, 0);\n", "test_supervisor")
M("keepers-without-a-pause", "master/spare.c", "\treturn restarts_pause(deaths);\n", "\treturn 0;\n", "test_spare")
M("keeper-made-while-quiescing", "master/quiesce.c", "\tslots_hold(m, true);", "", "test_programs.Programs.test_keeper_killed_while_quiescing", quick=False)
M("start-is-cut-off", "master/master_start.c", "\thold_signals();\n", "", "test_master_death.Makes.test_stopped_while_it_starts", quick=False)
M("what-was-left-before-counts", "master/quiesce.c", "\tforget_answers(m);\n", "", "test_master_death.Upgrade.test_told_and_stopped", quick=False)
M("quiesced-for-ever", "master/quiesce.c", "if (m->h.slots[i].used && m->h.slots[i].keeper && slots_order(m, i, ORDER_RESUME) < 0)", "if (false)",
  "test_upgrade.Upgrade.test_refused_when_all_are_quiesced")
M("nothing-owed-while-quiesced", "master/quiesce.c", "\t\t\t\tleast = s->state.pos;\n", "\t\t\t\t;\n", "test_upgrade.Upgrade.test_another_layout", quick=False)
M("no-read-lock", "master/runtime_dir.c", "return take(lock, F_RDLCK, KEEPER_BYTE);", "(void)lock;\n\treturn 0;",
  "test_runtime_dir", "test_lifecycle.Restart.test_master_killed_and_a_keeper_that_stays")
M("keeper-holds-no-lock", "master/keeper_start.c", "\twhile (runtime_dir_hold(k->h.lock) < 0)\n", "\twhile (false)\n",
  "test_lifecycle.Restart.test_master_killed_and_a_keeper_that_stays", quick=False)
M("empties-for-ever", "master/restarts.c", "\tr->emptied = true;\n", "", "test_restarts")
M("nothing-is-progress", "master/restarts.h", "#define RESTARTS_PROGRESS 10\t", "#define RESTARTS_PROGRESS UINT64_MAX\t", "test_crash.Worker.test_segv_under_load", quick=False)
M("progress-forgotten", "master/restarts.c", "\tr->count = 0;\n\tr->emptied = false;\n", "\tr->count = 0;\n", "test_restarts")
M("stopped-taken-for-vanished", "worker/io/tcp_counts.c", "ti.tcpi_last_ack_recv >= limit && ti.tcpi_retransmits >= attempts",
  "ti.tcpi_last_ack_recv >= limit", "test_pulse.Vanished.test_vanished", quick=False)
M("probes-are-proof", "worker/io/tcp_counts.c", "ti.tcpi_retransmits >= attempts;", "(ti.tcpi_retransmits >= attempts || ti.tcpi_probes >= attempts);",
  "test_pulse.Vanished.test_lost_probes", quick=False)
M("busy-is-never-pinged", "worker/loop/heartbeat.c", "if (idle_limit && transport_has(st->transport, TRANSPORT_TALKS)", "if (false && transport_has(st->transport, TRANSPORT_TALKS)", "test_pulse.Pings.test_busy_listener", quick=False)

# ---- those behind, in a topic's list ----

M("behind-and-still-passed", "worker/loop/upcalls.c", "\ttopics_behind_changed(&((struct worker *)worker)->topics, sid);\n", "\t(void)worker, (void)sid;\n",
  "test_never_read.NeverRead.test_passes")
M("behind-from-the-start-and-passed", "worker/delivery/local_topics.c", "\tif (!stands_behind(topics, t, sid))\n\t\tplace = gap_to_live", "\tplace = gap_to_live", "test_local_topics")
M("behind-leaves-a-gap-among-the-served", "worker/delivery/local_topics.c", "\tif (gap < t->at) {\n\t\tt->at--;", "\tif (0) {\n\t\tt->at--;", "test_local_topics", "test_fanout")
M("back-and-not-passed", "worker/delivery/local_topics.c", "\tplace = place < t->live ? gap_to_behind(topics, t, place) : gap_to_live(topics, t, place);\n",
  "\tif (place >= t->live)\n\t\treturn;\n\tplace = gap_to_behind(topics, t, place);\n", "test_fanout", "test_local_topics")
M("those-behind-are-queued-for", "worker/delivery/fanout.c", "return !t->is_apart && t->live > 0;", "return !t->is_apart;", "test_fanout")
M("polls-behind-are-not-woken", "worker/delivery/local_topics.c", "!t->is_apart && t->transport != TRANSPORT_HTTP && session_is", "!t->is_apart && session_is", "test_local_topics")

M("no-stream-but-its-topics", "worker/service/request.c", "\t\t\tleave_all(service->topics, service->multi_topic, c->sid, o->state.transport);\n\t\tsession_abort",
  "\t\t\t;\n\t\tsession_abort", "test_request")

# ---- sessions that stay ----

SESSIONS = "test_sessions."
M("parked-for-ever", "worker/loop/park.c", " - 1) * 1000 >= limit)", " - 1) * 1000 >= INT64_MAX)", SESSIONS + "Ends.test_time")
M("parked-for-a-second-less", "worker/loop/park.c", " - 1) * 1000 >= limit)", ") * 1000 >= limit)", SESSIONS + "Ends.test_not_before_its_time")
M("parked-that-hold-descriptors", "worker/loop/connection.c", "\tpark_make_room(w);\n", "", SESSIONS + "Ends.test_descriptors")
M("parked-that-count", "worker/delivery/local_topics.c", "\t\tif (t->transport != TOPICS_PARKED) {\n\t\t\tby_group[transport_group(t->transport)] +=", "\t\t{\n\t\t\tby_group[t->transport == TOPICS_PARKED ? 0 : transport_group(t->transport)] +=", SESSIONS + "Attach.test_topic_that_nobody_else_hears")
M("parked-with-nothing", "worker/session/session.c", "s->until != 0 && s->count > 0 &&", "s->until != 0 &&", SESSIONS + "Ends.test_goodbye")
M("parked-is-no-flag-of-snapshots", "shm/snapshot_session.c", "\t{ \"parked\", SESSION_PARKED, SESSION_PARKED },\n", "", SESSIONS + "Survive.test_other_layout", quick=False)
M("attached-and-not-finished", "worker/loop/recover.c", "\tattach_redo(&w->base.slot);\n", "", SESSIONS + "Points.test_attaching")
M("attached-without-its-token", "worker/service/attach.c", "\tmemcpy(s->token, slot_session(slot, from)->token, sizeof(s->token));\n", "", SESSIONS + "Points.test_attaching")
M("attached-from-where-it-was", "worker/service/attach.c", "\tif (a->asked.kind == RESUME_SINCE)\n\t\treturn a", "\tif (0)\n\t\treturn a", SESSIONS + "Attach.test_since")
M("who-was-reset-is-uncertain", "worker/loop/recover.c", "if (tcp_is_reset(session_fd(&w->base, sid)))", "if (0)", SESSIONS + "Ends.test_reset_within_a_frame")
M("attached-from-what-is-owed-next", "worker/service/attach.c", "\t\treturn a->asked.since.seq;", "\t\treturn begun > a->asked.since.seq ? begun : a->asked.since.seq;", "test_request")
M("attached-to-two", "worker/service/request.c", "\tif (!session_parked(service->base, from))\n\t\tservice->base->park(service->base->above, from);\n", "", SESSIONS + "Attach.test_second_attach")
M("strays-are-forgotten", "worker/service/attach.c", "return is_home(base, sid) ? 0 : strays_add(base, sid);", "return 0;", SESSIONS + "Survive.test_kills_and_reloads")
M("moved-twice", "worker/loop/move.c", "there = l.good && l.m.number <= w->base.slot.shm->moves_taken[l.m.sender];", "there = false;", SESSIONS + "Points.test_moved_again")
M("moved-and-opened-twice", "worker/loop/recover.c", "\tmove_settle(w);\n", "", SESSIONS + "Points.test_moved_and_opened")
M("moved-and-nowhere", "worker/service/attach.c", "*slot = moved >= 0 ? (unsigned)moved : token_slot(token);", "*slot = token_slot(token);", "test_move_sessions.Tokens.test_found")
M("moved-and-not-waited-for", "worker/service/attach.c", "!gate_is_quiet(service->base, service->queue[service->base->number])) {", "!gate_queue_is_empty(service->queue[service->base->number])) {", "test_move_sessions.FoundMeanwhile.test_before_it_is_sent")
M("moved-and-not-in-the-snapshot", "shm/snapshot_hub.c", "\t\t(void)moved_tokens_put_word(x->hub->moved, word);\n", "", "test_snapshot")
M("taken-over-and-nowhere", "worker/service/attach.c", "if (!is_home(base, sid) && strays_remove(base, sid))", "if (!is_home(base, sid) && (strays_remove(base, sid) || true))", "test_move_sessions.FoundMeanwhile.test_while_it_is_taken_over")
M("moved-and-not-sent-again", "worker/loop/move.c", "\t\tmove_session_redo(w, sid, slot & ~MOVING_WHOLE);\n", "\t\tmove_free_again(w, sid);\n", "test_move_sessions.Points.test_deaths", quick=False)
M("moved-and-left-at-once", "worker/delivery/local_topics.c", "\tif (!topics->base->departed)\n\t\tleave", "\tif (1)\n\t\tleave", "test_moves.Reloads.test_fewer_and_more", quick=False)
M("strangers-push-out-others", "worker/loop/park.c", "\t\tif (his > most) {", "\t\tif (!most) {", SESSIONS + "Owners.test_who_makes_many")
M("who-has-shown-nothing-is-as-good", "worker/loop/park.c", "2 * count + !(owner & OWNER_SHOWN)", "2 * count", SESSIONS + "Owners.test_who_makes_many")
M("owners-are-told-apart-by-some-bits", "worker/loop/park.c", "owners[i].count > 0 && owners[i].hash != hash", "false", SESSIONS + "Owners.test_many")
M("over-though-taken-over", "worker/loop/park.c", "\tsession_not_over(&w->base, sid);\n", "", SESSIONS + "Attach.test_of_one_that_is_over")
M("polled-by-one-that-is-gone", "worker/session/session.h", "return s->status == SESSION_OPEN && s->state.transport == TRANSPORT_HTTP && s->until", "return s->state.transport == TRANSPORT_HTTP && s->until", SESSIONS + "Polled.test_who_is_gone")
M("moved-whatever-it-is", "worker/loop/move_message.c", "\t\treturn rights == 0;\n", "\t\treturn true;\n", "test_move_message")
M("moved-keys-are-not-wiped", "worker/loop/move_message.c", "\t\texplicit_bzero(l->input + l->m.input, sizeof(struct tls_entry_shm));\n", "\t\t;\n", "test_move_message")
M("floods-by-moving", "worker/loop/move.c", "\t\tw->service.flood[fd] = m->flood;\n", "\t\t;\n", SESSIONS + "Attach.test_flood")
M("moved-and-lost", "worker/loop/recover.c", "\tmove_redo(w);\n", "", SESSIONS + "Points.test_moving")
M("polled-and-not-told", "worker/delivery/fanout.c", "\t\t\tsession_wake_polled(base, t->apart[i].sid);\n", "\t\t\t;\n", SESSIONS + "Polled.test_wait", quick=False)
M("polled-and-gone", "worker/loop/park.c", "\tst.last_out = w->base.now;\n\tsession_commit(&w->base, sid, &st);\n\tlist(w, sid);", "\tlist(w, sid);", SESSIONS + "Polled.test_stays_as_long_as_it_is_polled", quick=False)

# ---- memory and time of what is not whole ----

MEMORY = "test_memory."
M("always-late", "worker/protocol/input.c", "\tif (c->at != begun) {\n", "\tif (st.parsed != c->at) {\n", MEMORY + "Unfinished.test_always_one_begun", quick=False)
M("a-byte-keeps-it-young", "worker/loop/memory_limit.c", "? s->state.last_out : since)", "? s->state.last_out : s ? s->last_in : since)",
  MEMORY + "Budget.test_dribbling_does_not_help", quick=False)
M("told-before-it-is-noted", "worker/loop/memory_limit.c", "\tsession_forfeit(&w->base, sid);\n\tCRASH_POINT(\"memory-forfeited\");\n",
  "\tif (can_hear)\n\t\t(void)!send(session_fd(&w->base, sid), \"x\", 2, MSG_DONTWAIT | MSG_NOSIGNAL);\n\tCRASH_POINT(\"memory-forfeited\");\n\tsession_forfeit(&w->base, sid);\n",
  MEMORY + "Deaths.test_before_it_is_told", quick=False)
M("others-go-in-vain", "shm/buffer_pool.c", "\treturn kept + bytes <= pool->share || kept + bytes <= pool->common;\n", "\treturn true;\n", "test_buffer_pool")
M("passed-over-too-early", "worker/delivery/stream.c", "\t\ts->skipped++;\n", "\t\ts->skipped += 2;\n", "test_damage.Damage.test_what_is_skipped_is_not_lost", quick=False)

# ---- patterns ----

PATTERNS = "test_patterns."
M("star-fits-many", "proto/wildcard.h", "shape->tail ? topic->parts > shape->parts :", "shape->tail ? topic->parts >= shape->parts :",
  "test_wildcard")
M("sieve-is-not-repaired", "shm/index_patterns.c", "\tif (ix->shm->sieved)\n", "\tif (false)\n", "test_index_patterns")
M("shapes-are-not-repaired", "shm/index_patterns.c", "\tix->shm->patterns = ix->shm->shapes = 0;\n", "\tix->shm->patterns = 0;\n", "test_index_patterns")
M("shapes-without-limit", "shm/index_patterns.c", "if (find_shape(shm, &shape) >= shm->shapes_max) {", "if (false) {", "test_index_patterns")
M("patterns-without-limit", "worker/service/subscribe.c", "if (!index_is_pattern(name->bytes, name->len) ||", "if (true ||", PATTERNS + "Refused.test_limits")
M("patterns-have-history", "shm/history_rules.c", " || index_is_pattern(name, len))", ")", "test_index_patterns")
M("echo-is-an-answer", "shm/publish.c", "== 0 && rec.id == seq && (rec.topic", "== 0 && (rec.topic", "test_index_patterns")
M("patterns-wake-nobody", "shm/publish.c", "\tfor (unsigned i = 0; i < found->count; i++)\n\t\tinterest |=", "\tfor (unsigned i = 0; i < 1 && i < found->count; i++)\n\t\tinterest |=", "test_index_patterns")
M("echoes-take-no-room", "shm/publish.c", "return found->count <= 1 || records == 0 ||", "return true || records == 0 ||", "test_index_patterns")
M("echoes-begin-anew", "shm/ring.c", "\t\tif (rec.id >= id)\n", "\t\tif (rec.seq >= id)\n", "test_index_patterns", PATTERNS + "Since.test_recovered")
M("snapshot-parts-a-message", "shm/snapshot_hub.c", "ring_message_of(&hub->ring, from) >= oldest ? ring_message_of(&hub->ring, from) :", "true ? from :", "test_index_patterns")
M("once-for-each-name", "worker/delivery/multi_topic.c", "if (i->id >= p->had &&", "if (i->seq >= s->state.pos &&", PATTERNS + "Matching.test_all_transports")
M("window-ends-in-a-message", "worker/delivery/multi_topic.c", "a->end < a->topics->scanned ? ring_message_of(&a->base->hub.ring, a->end) : a->end;", "a->end;",
  PATTERNS + "Survives.test_windows")
M("streams-go-on-alone", "worker/delivery/stream.c", "\tif (!may_share(s, t))\n", "\tif (true || !may_share(s, t))\n", PATTERNS + "Behind.test_all_comes_once")

# ---- presence ----

PRESENCE = "test_presence."
M("cleared-slot-keeps-its-members", "shm/hub.c", "\tmembers_leave(&hub->members, slot);\n", "", "test_members", PRESENCE + "Faults.test_keeper_killed")
M("members-are-not-repaired", "shm/hub.c", "\tmembers_repair(&hub->members, ring_tail(&hub->ring));\n", "", PRESENCE + "Faults.test_crash_points", quick=False)
M("staged-change-is-told-again", "shm/members.c", "if (i && tail >= m->shm->needs &&", "if (false && i &&", PRESENCE + "Faults.test_crash_points", quick=False)
M("change-is-told-before-all-have-counted", "shm/members.c", "\tif (!is_whole(cell(m, c->topic)))\n\t\tannounce", "\tif (false)\n\t\tannounce", "test_members")
M("presence-is-for-patterns", "shm/publish.c", "index_has_patterns(&hub->index) && !presence_in(item->topic, item->topic_len))", "index_has_patterns(&hub->index))", "test_members")
M("nobody-counts", "worker/service/presence_topics.c", ".cell = i, .is_new = true,", ".cell = i, .is_new = false,", PRESENCE + "Presence.test_list_and_changes")
M("gone-with-the-worker-stays", "worker/service/presence_topics.c", ">> p->base->number & 1 && !presence_is_here(p, w->serial, c))", ">> p->base->number & 1 && false)", PRESENCE + "Faults.test_gone_within_a_death")
M("list-is-not-owed-again", "worker/service/presence.c", "\t\t\t\tif (fresh || session(p->base, sid)->state.flags & SESSION_LISTS)\n", "\t\t\t\tif (fresh)\n", PRESENCE + "Faults.test_crash_points", quick=False)
M("another-layout-owes-no-list", "worker/service/presence.c", "\t\t\t\tif (fresh || session(", "\t\t\t\tif (session(", PRESENCE + "Faults.test_upgrade", quick=False)
M("leaving-is-not-noticed", "worker/delivery/local_topics.c", "\tbase_changed(topics->base, t->is_apart ? t->apart[place].sid : t->subscribers[place], index_topic(&topics->base->hub.index, t->topic));\n", "", PRESENCE + "Presence.test_list_and_changes")
M("mixed-is-taken-for-one", "shm/hub.c", "groups > 1 ? COUNTS_MIXED : (uint8_t)group", "(uint8_t)group", "test_topics.Counts.test_transports")

# ---- who may do what ----

RIGHTS = "test_rights."
M("star-is-given-for-more", "proto/rights.c", "other_shape->tail || other_shape->parts != shape->parts)", "false)", "test_rights")
M("beginning-within-a-wildcard", "proto/rights.c", "begin <= common_beginning(&asked, &parts) &&", "true &&", "test_rights")
M("everybody-takes-a-right", "worker/service/access.c", "*name->bytes == NAME_EVERYBODY && !(rights & RIGHT_PUBLISH)", "false", RIGHTS + "Sessions.test_attach_with_what_goes_to_everybody")
M("failed-attach-keeps-what-it-subscribed", "worker/service/request.c", "\t\tunsubscribe_new(service, c->sid, first, &st);\n", "\t\t(void)first;\n", RIGHTS + "ChannelsAndSessions.test_no_room_for_all_of_it")
M("public-key-is-a-secret", "proto/jwt_keys.c", "\tif (key_look(bytes, len)) {", "\tif (false) {", "test_jwt_keys")
M("request-has-what-the-last-one-showed", "worker/service/access.c", "\ta->shown = NULL;\n\ta->refused", "\ta->refused", RIGHTS + "Table.test_a_connection_of_http_has_no_rights")
M("past-comes-with-subscribing", "worker/service/request.c", "past == RESUME_SINCE && !j->owed && !access_gives(", "false && !access_gives(", RIGHTS + "Table.test_without_the_right_to_the_past")
M("owed-takes-the-right-to-the-past", "worker/service/request.c", "past == RESUME_SINCE && !j->owed && ", "past == RESUME_SINCE && ", RIGHTS + "Tokens.test_what_a_session_is_owed_takes_no_right_to_the_past")
M("thief-takes-the-connection", "worker/service/request.c", "\tif (!may_attach(service, c, from, &asked, o))\n\t\treturn true;\n\tif (!session_parked(service->base, from))\n\t\tservice->base->park(service->base->above, from);\n",
  "\tif (!session_parked(service->base, from))\n\t\tservice->base->park(service->base->above, from);\n\tif (!may_attach(service, c, from, &asked, o))\n\t\treturn true;\n", RIGHTS + "Sessions.test_attach_without_rights_takes_nobodys_connection")
M("last-of-what-nobody-asked-for", "worker/service/request.c", "\t\tj->replay = j->denied;\n\tdone =", "\t\t;\n\tdone =", RIGHTS + "Tokens.test_last_takes_the_right_to_the_past")
M("token-leaves-what-it-does-not-give", "worker/service/request.c", "\telse if (!keeps_subscriptions(service, c->sid, shown))\n", "\telse if (false)\n", RIGHTS + "Sessions.test_another_token")
M("next-one-has-its-rights", "worker/loop/connection.c", "\tsession_set_rights(&w->base, sid, NULL);\n", "", RIGHTS + "Sessions.test_next_one")
M("token-never-runs-out", "worker/loop/expiry.c", "\tif (left <= 0) {\n", "\tif (false) {\n", RIGHTS + "Tokens.test_expiry", quick=False)
M("failed-auth-keeps-its-rights", "worker/service/request.c", "\t\tsession_restore_rights(service->base, c->sid, was);\n\t\treturn;\n", "\t\treturn;\n", RIGHTS + "FailedAuth.test_nothing_has_changed", quick=False)
M("failed-auth-keeps-what-it-subscribed", "worker/service/request.c", "\t\tunsubscribe_new(service, c->sid, first, &o->state);\n", "", RIGHTS + "FailedAuth.test_nothing_has_changed", quick=False)
M("failed-auth-leaves-its-place", "worker/service/quota.c", "\t\tif (!join(base, hash, most, &cell))\n\t\t\treturn false;\n", "\t\tif (!join(base, hash, most, &cell)) {\n\t\t\tleave(base, joined);\n\t\t\treturn false;\n\t\t}\n",
  RIGHTS + "FailedAuth.test_nothing_has_changed", quick=False)
M("auth-leaves-no-place-free", "worker/service/quota.c", "\tleave(base, joined);\n\t*joined = cell;\n", "\t*joined = cell;\n", RIGHTS + "FailedAuth.test_nothing_has_changed", quick=False)
M("attach-is-not-for-who-has-channels", "worker/service/subscribe.c", "&& !(rights && rights_has_at_once(rights, name.bytes, name.len))", "", RIGHTS + "ChannelsAndSessions.test_goes_on")
M("attached-channels-begin-now", "worker/service/request.c", "\tleave_same(service, c, from);\n", "", RIGHTS + "ChannelsAndSessions.test_goes_on")
M("channels-stay-behind", "worker/loop/move.c", "\t\tsubscribe_join_channels(&w->service, fd, m->everybody);\n", "\t\t;\n", RIGHTS + "ChannelsAndSessions.test_that_session_is_not_there")
M("rights-stay-behind", "worker/loop/move_message.c", "p->m.version = p->rights ? VERSION_RIGHTS : VERSION;", "p->m.version = VERSION;", RIGHTS + "Sessions.test_rights_move")

# ---- certificates that say who somebody is ----

CERTIFIED = "test_certified."
M("certificate-says-nothing", "worker/loop/handshakes.c", "return h->arrival.proto == PROTO_ADMIN ? NULL : access_certificate(", "return true ? NULL : access_certificate(", CERTIFIED + "Certified.test_each_transport")
M("certificate-of-another", "worker/service/access.c", "\tif (found && !is_anothers(service, sid, found))\n", "\tif (found)\n", CERTIFIED + "Tokens.test_beside_it")
M("certificate-is-forgotten-with-a-token", "worker/session/session.c", "->certified |= (", "->certified &= 0 & (", "test_session", CERTIFIED + "Tokens.test_beside_it")
M("certificate-for-any-page", "worker/protocol/http_bearer.c", "if (session_rights(x->protocols->base, x->c->sid) && exchange_origin_allowed(x))", "if (session_rights(x->protocols->base, x->c->sid))", CERTIFIED + "Certified.test_a_page_of_another_site")
M("certificate-of-the-last-request", "worker/service/access.c", "\ta->certified = false;\n", "", "test_access")
M("left-rights-are-the-certificates", "worker/service/access.c", "\treturn own->grants > 0 || own->expires != INT64_MAX;\n", "\treturn false;\n", "test_access")
M("certificate-dies-with-the-worker", "worker/loop/recover.c", "!(rights && rights->certified))) {", "true)) {", CERTIFIED + "GoesOn.test_deaths_and_reloads")
M("certificate-stays-in-its-layout", "shm/snapshot_session.c", "!(v->rights && v->rights->certified)) {", "true) {", CERTIFIED + "GoesOn.test_another_layout")
M("certified-without-limit", "worker/loop/handshakes.c", "if (rights && !quota_connect_user(", "if (false && !quota_connect_user(", CERTIFIED + "Certified.test_limit")
M("tls-session-without-its-certificate", "worker/io/tls_server.c", "\tid[0] = (uint8_t)mode;\n", "", CERTIFIED + "GoesOn.test_resumed_without")

# ---- what people copy ----

PYTHON_EXAMPLES = "test_packaged_examples.PythonExamples.test_"
M("example-publishes-without-key", "packaging/examples/publisher.py", '{"Idempotency-Key": key, ', "{", PYTHON_EXAMPLES + "answered_and_dead")
M("example-notes-before-the-answer", "packaging/examples/publisher.py", "    for line, end in follow(path, state.values[\"published\"]):\n",
  "    for line, end in follow(path, state.values[\"published\"]):\n        state.values[\"published\"] = end\n        state.save()\n",
  PYTHON_EXAMPLES + "nothing_keeps_it")
M("example-consumer-forgets-where-it-was", "packaging/examples/consumer.py", "return row[0] if row else None", "return None", PYTHON_EXAMPLES + "restart")

# ---- memory ----

M("frames-leak", "worker/delivery/frame.c", "\tCRASH_ON_RECORD(r.text, r.len);\n",
  "\tCRASH_ON_RECORD(r.text, r.len);\n\tchar *volatile leak = malloc(48);\n\tif (leak)\n\t\t*leak = 1;\n", "test_soak.SmallSoak.test_flat")
M("answers-leak-their-buffer", "worker/session/session.c", "\t\tpool_give(&base->pool, was.out);\n", "\t\t;\n", "test_soak.SmallSoak.test_flat")

# ---- events, and what shows them ----

EVENTS = "test_events."
M("event-keeps-its-number-while-it-is-written", "shm/events.c", "\tatomic_store_explicit(&dst->seq, 0, memory_order_relaxed);\n", "", "test_events")
M("event-is-not-looked-at-twice", "shm/events.c", "return atomic_load_explicit(&src->seq, memory_order_relaxed) == seq;", "return true;", "test_events")
M("event-is-there-before-it-is-whole", "shm/events.c", "\tfill(dst, event);\n", "\tatomic_store(&r->next, seq + 1);\n\tfill(dst, event);\n", EVENTS + "Crashes.test_death_within_an_event", quick=False)
M("lost-events-are-not-counted", "shm/events.c", "\t\t\t*lost += oldest - *next;\n", "", "test_events", EVENTS + "Events.test_reader_that_is_overtaken")
M("event-keeps-another-ones-address", "shm/events.c", "\tdst->family = EVENT_NOWHERE;\n", "", "test_events")
M("mapped-address-is-told-as-ipv6", "worker/io/peer.c", "bool mapped = IN6_IS_ADDR_V4MAPPED(&in->sin6_addr);", "bool mapped = false;", "test_events")
M("last-reason-is-told", "worker/session/tell.c", "\tif (base->why[sid] == 0)\n\t\tbase->why[sid] = (uint8_t)why;\n\tif (!text)", "\tbase->why[sid] = (uint8_t)why;\n\tif (!text)", "test_tell")
M("reason-stays-for-the-next", "worker/session/tell.c", "\t\tbase->why[sid] = 0;\t/*", "\t\t;\t/*", "test_tell")
M("slow-readers-are-told-of-without-limit", "worker/session/tell.c", "if (base->often >= OFTEN_A_SECOND) {", "if (0) {", "test_tell")
M("who-ends-has-caught-up", "worker/session/session.c", "if (!(session(base, sid)->state.flags & (SESSION_CLOSE | SESSION_LINGER | SESSION_PARKED)))\n\t\t\ttell", "if (1)\n\t\t\ttell", "test_tell")
M("goodbye-is-not-told", "worker/loop/worker.c", "EVENT_WHY_GOODBYE", "EVENT_WHY_DONE", EVENTS + "Events.test_reasons", quick=False)
M("attached-is-told-by-the-old-id", "worker/service/attach.c", "\tuint32_t was = client_id_check(session(base, sid)->token);\n", "\tuint32_t was = client_id_check(session(base, from)->token);\n", EVENTS + "Events.test_sessions")
M("log-forgets-who-is-who", "master/ctl/log_clients.c", "if (!is(client, event) && !was_attached(client, event))", "if (1)", EVENTS + "Events.test_a_connections_life", EVENTS + "Filters.test_what_is_wanted")
M("log-follows-the-old-hub", "master/ctl/log_source.c", "\tif (inode == s->inode) {", "\tif (1) {", EVENTS + "Events.test_restart", EVENTS + "Upgraded.test_another_layout", quick=False)
M("log-of-a-pattern-names-the-pattern", "master/ctl/log_publish.c", "if (len == 0 || rec->flags & RING_ECHOED || index_is_pattern(name, len))", "if (len == 0)", EVENTS + "Topics.test_messages")
M("terminals-get-anything", "master/ctl/log.c", "\t\t\t\tctl_tame(f->lines.entry[i].text);\n", "\t\t\t\t;\n", EVENTS + "Terminals.test_nothing_that_a_terminal_acts_on")
M("log-outlives-its-reader", "master/ctl/log.c", "out.revents & (POLLERR | POLLNVAL)", "0", EVENTS + "Filters.test_ends")
M("top-looks-at-no-records", "master/ctl/top_sample.c", "i < LOOKED_AT && tail > oldest", "i < 0 && tail > oldest", "test_top.Top.test_once", "test_top.Top.test_many_topics")
M("top-goes-on-while-paused", "master/ctl/top.c", "if (!v->paused && v->source.hub.shm)", "if (v->source.hub.shm)", "test_top.Top.test_terminal")

# ---- clients looked at, and sent away ----

KICK, LOOK = "test_kick.", "test_ctl_clients.Clients."
M("reader-leaves-the-table", "shm/clients.c", "\t\tif (at > slot->shm->subscriptions_max)\n\t\t\treturn false;\n", "", "test_shm_clients")
M("reader-goes-round-and-round", "shm/clients.c", "at != 0 && left > 0; left--", "at != 0; ", "test_shm_clients")
M("reader-takes-another-for-it", "shm/clients.c", "\t\tif (!is_same(s, info->token) || ", "\t\tif (", "test_shm_clients")
M("reader-believes-the-segment", "shm/clients.c", "lies_within(s->sessions_at, s->sessions_max, sizeof(struct session_shm), s->size) &&", "", "test_shm_clients")
M("kick-is-for-whoever-is-there", "worker/loop/orders.c", "stays(w, sid) && client_id_check(session(&w->base, sid)->token) == order->check)", "stays(w, sid))", KICK + "Kick.test_one")
M("kicked-sessions-linger", "worker/loop/orders.c", "\tif (session_parked(&w->base, sid)) {\n\t\tpark_end(w, sid, why);\n", "\tif (session_parked(&w->base, sid)) {\n\t\t;\n", KICK + "Kick.test_sessions_end")
M("order-counts-anew", "worker/service/order.c", "\tif (atomic_load_explicit(&o->begun, memory_order_relaxed) == number)\n\t\treturn true;\n", "", KICK + "Deaths.test_in_the_middle")
M("order-is-done-twice", "worker/service/order.c", "\tif (atomic_load_explicit(&o->done, memory_order_relaxed) == number)\n\t\treturn false;\n", "", "test_order")
M("orders-leave-numbers-out", "worker/service/order.c", "next = last ? last + 1 : hub_now();", "next = hub_now();", "test_order")
M("kick-waits-for-a-dead-hub", "master/ctl/act.c", "k.unseen = inode && now && now != inode;", "k.unseen = false;", KICK + "Kick.test_another_hub_meanwhile")
M("order-stays", "worker/loop/orders.c", "\torder_take_out(queue);\n", "\t;\n", KICK + "Kick.test_by_http")
M("drained-takes-clients", "worker/io/listener.c", "return listener_drains(all) || !has_room(all);", "return !has_room(all);", KICK + "Drain.test_a_worker")
M("takes-more-than-its-room", "worker/io/shares.c", "(share < room ? share : room) - n", "share - n", "test_shares")
M("takes-by-another-reload", "worker/io/shares.c", "LOAD(s, reload_number) != LOAD(base->self, reload_number) ||", "", "test_shares")
M("gate-is-not-asked", "worker/io/gate.c", "if (!gate_is_closed(base, slot))", "if (true)", "test_shares")
M("giver-is-not-seen", "worker/io/gate.c", "base->number & 1)\n\t\t\treturn true;", "base->number & 1)\n\t\t\treturn false;", "test_shares")
M("balance-is-not-read", "worker/loop/balance.c", "return shares_beyond(&w->base) > most ? BALANCE_MOST : 0;", "return 0;", "test_moves.Balance")

# ---- without a master, and the next one ----

DEATH = "test_master_death."
M("keeper-made-meanwhile-waits-anew", "master/bereft.c", "\tif (k->met)\n\t\tstart_clock(k);\n", "\tstart_clock(k);\n", "test_bereft")
M("master-that-died-half-way-counts", "master/bereft.c", "\tif (k->met)\n\t\tstart_clock(k);\n", "", "test_bereft")
M("another-death-is-not-noted", "master/bereft.c", "\t\tmiss(k);\n\t\treturn true;\n", "\t\treturn true;\n", "test_bereft")
M("pause-of-all-counts", "master/bereft.c", "\tif (pause > 0)\n", "\tif (0)\n", "test_bereft")
M("who-was-paused-judges", "master/bereft.c", "return passed < 2 * LOOK_MS && now", "return now", "test_bereft")
M("slot-of-nobody-is-left", "master/bereft.c", "\tif (is_lowest(k))\n", "\tif (0)\n", DEATH + "Killed.test_slot_lost_and_none_comes", quick=False)
M("crash-loop-of-masters-goes-on", "master/revive.c", "if (before > 0 && restarts_note(", "if (0 && restarts_note(", "test_masters.ByKeepers.test_crash_loop", quick=False)
M("anybody-may-come-in", "master/door.c", "who.pid > 0 && who.pid == runtime_dir_master(lock)", "who.pid > 0", "test_adopt")
M("what-a-dead-keeper-said-counts", "master/adopt.c", "\t\tif (packet.first)\n\t\t\tadopt_forget(told);\n", "", DEATH + "Points.test_keeper_half", quick=False)
M("adopted-and-not-told-to-go-on", "master/adoption.c", "m->h.slots[i].keeper && slots_order(m, i, ORDER_RESUME) < 0", "0", DEATH + "Upgrade.test_taken_back", quick=False)
M("change-meanwhile-is-not-seen", "master/adoption.c", "\tif (what)\n\t\tm->again = true;\n", "", DEATH + "Killed.test_configuration_changed", quick=False)
M("address-changed-meanwhile-is-not-seen", "master/differs.c", "\t\tif (!found)\n\t\t\treturn \"addresses\";\n", "", DEATH + "Killed.test_one_thing_changed", quick=False)
M("secret-changed-meanwhile-is-not-seen", "master/differs.c", "return changed[0] ?", "return false ?", DEATH + "Killed.test_one_thing_changed", quick=False)
M("program-changed-meanwhile-is-not-seen", "master/differs.c", "return same ?", "return true ?", DEATH + "Killed.test_one_thing_changed", quick=False)
M("half-a-reload-is-not-seen", "master/differs.c", "!m->slot[i].ours && atomic_load", "false && atomic_load", DEATH + "Reload.test_passed", quick=False)
M("keeper-is-not-asked-again", "master/kin.c", "\t\tk->orders = door_connect(kin->m->dir.path, slot);\n", "\t\tk->orders = -1;\n", DEATH + "Points.test_keeper_accepted", quick=False)
M("what-all-keepers-have-is-kept-of-each", "master/kin.c", "\t\t\tif (kin->first)\n", "\t\t\tif (false)\n", DEATH + "Killed.test_again_and_again", quick=False)
if os.geteuid() == 0:       # (to others it makes no difference)
    M("root-executes-what-was-never-ours", "master/adoption.c", "(geteuid() != 0 || programs_has(m->dir.path, program))", "true", "test_masters.Roots.test_not_to_be_trusted", quick=False)
    M("root-believes-anybody's-note", "master/programs.c", "st.st_uid == 0 && ", "", "test_masters.Roots.test_not_to_be_trusted", quick=False)
    M("root-executes-what-others-can-write", "master/adoption.c", "S_ISREG(st.st_mode) && !(st.st_mode & S_IWOTH) &&", "S_ISREG(st.st_mode) &&", "test_masters.Roots.test_not_to_be_trusted", quick=False)
M("cut-is-not-said", "shm/descriptors.c", "\tcame->flags = msg.msg_flags;\n", "", "test_descriptors")

# ---- moves ----

M("kick-is-done-twice", "worker/loop/move_session.c", ".parsed = order_last(w->base.self),", ".parsed = 0,", "test_move_sessions.Points.test_kick_before", quick=False)
M("last-order-is-any", "worker/service/order.c", "last = done > last ? done : last;", "last = done;", "test_order")
M("moved-and-taken-twice", "worker/loop/move_session.c", "return len == TOKEN_BYTES && sid < (session_id)end;", "return false;", "test_move_sessions.Points.test_deaths", quick=False)
M("left-before-it-is-there", "worker/loop/departed.c", "\t\tif (!is_under_way(w, slot))\n", "\t\tif (1)\n", "test_moves.Presence.test_nobody_leaves", quick=False)
M("moved-token-of-another-goes", "shm/moved_tokens.c", "\tif (word && (atomic_load_explicit(word, memory_order_relaxed) & SLOT_MASK) == slot)\n", "\tif (word)\n", "test_moved_tokens")
M("moved-tokens-of-all-go", "shm/moved_tokens.c", "if (word && (word & SLOT_MASK) == slot)", "if (word)", "test_moved_tokens")
M("new-slots-stay-empty", "master/rolling.c", "atomic_store(&m->hub.shm->even_until, restarts_now() + EVEN_MS);", ";", "test_moves.Reloads.test_fewer_and_more")
M("draining-ends-with-its-word", "worker/loop/orders.c", "is_empty(w))\n", "!is_empty(w))\n", KICK + "Drain.test_a_worker")
M("drained-refuses-its-operator", "worker/loop/connection.c", "(a->proto == PROTO_ADMIN || !listener_drains(&w->listeners))", "!listener_drains(&w->listeners)", KICK + "Drain.test_all")

# ---- TLS, and a death ----

M("tls-sealed-without-being-listed", "worker/io/tls_out.c", "\t\ttls_out_list(base, 0, sid, piece);\n", "", "stress/tls_stress", quick=False)
M("tls-pending-is-dropped", "worker/io/tls_out.c", "if (accepted < size && !keep(", "if (false && !keep(", "test_tls_session")
M("tls-rest-whatever-there-is", "worker/io/tls_out.c", "if (!pool_allows(&base->pool, *promised + most))", "if (false)", "test_tls_session")
M("tls-rest-asked-for-one-by-one", "worker/io/tls_out.c", "\t*promised += most;\n", "", "test_tls_session")
M("tls-empty-records-are-free", "worker/io/tls_in.c", "in->bare += n == 0;", ";", "test_input")
M("tls-updates-are-free", "worker/io/tls_in.c", "\t\t\tin->bare++;\n", "", "test_input")
M("tls-bytes-without-text-are-free", "worker/io/receive.c", "\tintake->wire = in.taken;\n\tintake->bare", "\tintake->wire = intake->bytes;\n\tintake->bare", "test_input")
M("tls-number-is-used-twice", "worker/io/tls_out.c", "\tflow.out_seq += records(len);\n", "", "test_tls_session")
M("tls-other-keys-in-two-steps", "worker/io/tls_out.c", "\t\ttls_commit_keys(&base->tls, session_fd(base, sid), e);\n",
  "\t\ttls_commit(&base->tls, session_fd(base, sid), &e->flow), *entry_of(base, sid) = *e;\n", "stress/tls_stress", quick=False)
M("tls-rest-is-lost-in-a-death", "worker/delivery/landed_tls.c", "len, records, size, accepted) >= 0;", "len, records, size, size) >= 0;", "test_tls_session")
M("tls-text-begins-elsewhere", "worker/delivery/landed.c", "struct told told = { .from = from,", "struct told told = { .from = from + 1,", "test_tls_session")
M("tls-drained-is-forgotten", "worker/delivery/landed_tls.c", "\t\tif (accepted > flow->wire_out)\n", "\t\tif (false)\n", "test_tls_session")
M("tls-history-is-not-sealed-again", "worker/delivery/landed.c", "\t\tif (told && (noted_record(", "\t\tif (false && (noted_record(", "stress/tls_stress", quick=False)
M("tls-waits-for-nobody", "worker/delivery/landed_tls.c", "\t\tlanded_advance(streams, sid, 0, true);\n\treturn true;", "\t\t;\n\treturn true;", "test_tls_session")
M("tls-session-is-up-to-date-too-early", "worker/delivery/output.c", "\tif (r > 0)\n\t\tr = send_pending(o, sid, st);\n", "", "test_tls_session")
M("tls-input-is-not-taken-after-a-death", "worker/io/tls_in.c", "\t*len = flow->opened - from;\n\tdiscard(base, sid, left);\n", "\t*len = flow->opened - from;\n", "test_tls_session")
M("tls-input-is-not-taken", "worker/io/receive.c", "\ttls_in_take(base, sid, &in);\n\tif (head->base", "\tif (head->base", "test_tls_session")
M("tls-held-is-overwritten", "worker/io/tls_in.c", "flow->held) + there, wire", "flow->held), wire", "test_tls_session")
M("tls-end-comes-with-data", "worker/io/tls_in.c", "if ((n < 0 || type != TLS_APPLICATION_DATA) && data)", "if (n < 0 && data)", "test_tls_session")
M("tls-nonce-without-its-number", "proto/tls_record.c", "EXPLICIT) + seq);", "EXPLICIT));", "test_tls_record")
M("tls-padding-counts", "proto/tls_record.c", "\tif (len > TLS_TEXT_MAX + 1)\n", "\tif (false)\n", "test_tls_record")
M("tls-any-type-will-do", "proto/tls_record.c", "(!is_type(*type) || (text == 0", "((text == 0", "test_tls_record")
M("tls-generation-is-not-counted", "proto/tls_keys.c", "\t\tkeys->generation = generation;\n", "\t\t;\n", "test_tls_record")
M("tls-no-redo", "shm/tls.c", "\t\t\ttls_entry(tls, (int)fd - 1)->flow = s->redo.flow;\n", "\t\t\t;\n", "test_tls_segment")
M("tls-redo-keeps-keys", "shm/tls.c", "\texplicit_bzero(&s->redo, sizeof(s->redo));\n", "", "test_tls_segment")
M("tls-entry-is-not-wiped", "shm/tls.c", "!is_tls(of, (int)fd - 1))", "false)", "test_tls_segment")
M("tls-snapshot-for-plain", "shm/snapshot_session.c", "v.tls ? PROTO_OF_TLS : \"proto\"", "\"proto\"", "test_snapshot_slot")

# ---- janus.js, where there is a Node with WebSocket ----

JANUS_JS = "packaging/janus.js/janus.js"
BY_SOCKET, BY_STREAMS = "test_clients_janus_js.WebSocketJanusJs.test_", "test_clients_janus_js.EventStreamJanusJs.test_"
if shutil.which("node"):
    M("js-lists-are-messages", JANUS_JS, "\t\tif (m.id === undefined) {", "\t\tif (false) {", BY_SOCKET + "presence", quick=False)
    M("js-star-fits-many", JANUS_JS, 'part === "*" ? "[^.]*"', 'part === "*" ? ".*"', BY_SOCKET + "patterns", quick=False)
    M("js-once-for-each-name", JANUS_JS, "if (!fresh.includes(this.#by(m)))", "if (!fresh.length)", BY_STREAMS + "pattern_and_its_past", quick=False)
    M("js-takes-what-comes-another-way", JANUS_JS, "fitting.filter(c => c?.source === source && ", "fitting.filter(c => c?.accepted && ", BY_STREAMS + "past_of_a_pattern_that_comes_late", quick=False)
    M("js-never-attaches", JANUS_JS, 'link.transport === "websocket" ? this.#left() : undefined', "undefined", BY_SOCKET + "attach", quick=False)
    M("js-streams-begin-anew", JANUS_JS, "\t\t\treturn from.token;\n", '\t\t\treturn "";\n', BY_STREAMS + "attach", quick=False)
    M("js-keeps-what-was-unsubscribed", JANUS_JS, "if (this.#channels.get(key)?.source !== way)", "if (false)", BY_SOCKET + "asked_for_when_it_breaks", quick=False)
    M("js-fights-over-its-session", JANUS_JS, "if (why.code === 1008)", "if (false)", BY_SOCKET + "taken_over", quick=False)
    M("js-streams-fight", JANUS_JS, "if (!attached || (since + TAKEN_LATER)", "if (true || (since + TAKEN_LATER)", BY_STREAMS + "taken_over", quick=False)
    M("js-says-goodbye-in-silence", JANUS_JS, "setTimeout(() => socket.close(), silence + patience).unref?.();", "socket.close();", BY_SOCKET + "silence_of_the_server", quick=False)
    M("js-falls-silent-when-its-session-has-ended", JANUS_JS, "this.#open(greeting, error ? undefined : ()", "error || this.#open(greeting, ()", BY_SOCKET + "away_for_too_long", quick=False)
M("lists-come-before-what-is-old", "worker/service/presence_lists.c", "return !(st->flags & SESSION_BEHIND) && st->out_end", "return st->out_end", PRESENCE + "Lingering.test_away_while_nobody_watched")
M("one-list-ends-all", "worker/service/presence_lists.c", "more == 0 && p->owed_of[o->sid] == 1)", "more == 0)", PRESENCE + "Presence.test_several_topics_at_once")
M("no-room-is-for-ever", "worker/service/presence_users.c", "\tif (!p->refused)\n\t\treturn;\n", "\treturn;\n", PRESENCE + "Presence.test_room_again", quick=False)

# ---- what newcomers are told ----

FIRST = "test_first_hour."
M("json-error-without-its-line", "proto/json.c", "\t\tlines++;\n", "\t\t;\n", "test_json")
M("json-error-behind-the-string", "proto/json.c", "c->at = error != NULL ? (size_t)(wrong - c->text) : ", "c->at = ", "test_json")
M("length-that-looks-like-nothing", "proto/packet.c", "stranger != STRANGER_NONE && stranger != STRANGER_PART &&", "0 &&", "test_packet")
M("flash-does-not-wait-for-a-method", "proto/flash.c", "\tif (stranger == STRANGER_PART)\n\t\treturn;\n", "", "test_flash")
M("flash-words-at-http", "proto/http.c", "return is_flash(in + *start, len - *start) ?", "return 0 ?", "test_stranger")
M("lines-are-told-again", "proto/flash.c", "\tscan->lines = UINT32_MAX;\n", "", FIRST + "LineFeeds.test_told_and_goes_on", "test_flash")
M("lines-are-not-told", "worker/loop/sweep.c", "} else if (frame_waits(w, sid)) {", "} else if (0 && frame_waits(w, sid)) {", FIRST + "LineFeeds.test_told_and_goes_on")
M("anything-behind-an-object-is-a-line", "proto/flash.c", "if (end == len || in[end] != '\\n')", "if (end == len)", "test_flash")
M("any-parameter-is-known", "worker/protocol/http_names.c", "return name.len == 1 && *name.p == '_';", "return *name.p == '_';", FIRST + "Told.test_parameters")
M("websocket-on-no-path-is-no-websocket", "worker/protocol/http_routes.c", "get && (!r || !r->upgrades)", "get && r && !r->upgrades", FIRST + "Told.test_websocket_without_a_path")
# ---- who runs the server ----

M("admin-is-not-in-a-snapshot", "shm/snapshot_session.c", '\t{ "admin", SESSION_ADMIN, SESSION_ADMIN },\n', "", "test_snapshot_slot")
M("moved-and-no-admin-any-more", "worker/loop/move.c", "(m->listener & MOVED_ADMIN ? SESSION_ADMIN : 0)", "0", "test_admin.Survives.test_moves")
M("admin-paths-for-all", "worker/protocol/http_routes.c", "if (r->where == ADMIN && !exchange_is_admin(x))", "if (0)", "test_metrics.Metrics.test_where")
M("any-name-is-let-in", "worker/protocol/http_exchange.c", "(listed == HTTP_ANY && !exchange_is_admin(x))", "listed == HTTP_ANY", "test_admin.Pages.test_names")
M("any-page-is-let-in", "worker/protocol/http_exchange.c", "exchange_is_admin(x) ? HTTP_NOT_LISTED : http_origins_have", "http_origins_have", "test_admin.Pages.test_origins")
M("admin-socket-for-all", "master/listen.c", "? 0660 : 0666", "? 0666 : 0666", "test_admin.Listeners.test_unix")
M("own-socket-for-the-group", "master/runtime_dir.c", " || give(admin, owner, gr) < 0", "", "test_admin.Listeners.test_own")
M("control-socket-for-the-group", "master/runtime_dir.c", "fchmod(fd, 0600) < 0", "fchmod(fd, 0660) < 0", "test_runtime_dir")
M("data-folder-for-all", "master/data_process.c", "mkdir(path, 0700)", "mkdir(path, 0755)", "test_data.Trouble.test_files")
M("journal-for-all", "shm/journal_write.c", "JOURNAL_NEW, O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600)",
  "JOURNAL_NEW, O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0644)", "test_data.Trouble.test_files")
M("a-clients-socket-becomes-admins", "master/listen.c", "((own.proto == PROTO_ADMIN) == (address->proto == PROTO_ADMIN) && ", "(", "test_admin.Listeners.test_unix")
M("no-room-for-admin", "worker/io/listener.c", "proto == PROTO_ADMIN ? LISTENER_ADMIN_SPARE : 0", "0", "test_admin.Listeners.test_room")
M("all-are-admin", "worker/loop/connection.c", "\tif (a->proto == PROTO_ADMIN)\n\t\tst.flags", "\tif (1)\n\t\tst.flags", "test_admin.Listeners.test_topics")
M("figures-for-all", "worker/protocol/http_routes.c", "exchange_is_admin(x) ? PAGE_ADMIN_HTML : PAGE_HTML", "PAGE_ADMIN_HTML", "test_admin.Figures.test_page")
M("pages-with-one-tag", "worker/protocol/http_page.c", "i < page->len; i++", "i < 1000; i++", "test_admin.Figures.test_tags")

# ---- metrics ----

M("latency-is-not-in-a-snapshot", "shm/snapshot_hub.c", "\tsnapshot_get_latency(&x->r, o, &s->latency);\n", "", "test_snapshot")
M("a-pass-is-not-counted", "worker/delivery/fanout.c", "if (t->at >= t->live && served > 0)", "if (0)", "test_metrics.Metrics.test_fanouts")
M("a-slice-is-a-pass", "worker/delivery/fanout.c", "if (t->at >= t->live && served > 0)", "if (served > 0)", "test_metrics.Metrics.test_slices")
M("a-window-is-not-counted", "worker/delivery/multi_topic.c", "if (a->sessions > 0)", "if (0)", "test_metrics.Metrics.test_fanouts")
M("members-stay-used", "shm/members.c", "\tstore(&m->shm->used, load(&m->shm->used) - 1);\n", "", "test_members")
M("seconds-are-microseconds", "shm/metrics.c", 'if (unit && strcmp(unit, "microseconds") == 0)', "if (0)", "test_metrics")
M("families-are-torn", "shm/metrics.c", "\t\tif (!is_first(i))\n\t\t\tcontinue;\n", "", "test_metrics")
M("slots-that-are-gone-are-shown", "shm/metrics.c", "return g->total ? hub_slot_used(hub, slot) : ", "return g->total || hub_slot_used(hub, slot) ? true : ", "test_metrics")
M("draining-is-ready", "worker/protocol/http_health.c", '? "is draining" : NULL', "? NULL : NULL", "test_metrics.Health.test_draining")
M("bad-input-is-flashs", "worker/protocol/answer.c", "by_group[transport_group(session(protocols->base, sid)->state.transport)]", "COUNTER_bad_flash",
  "test_metrics.Metrics.test_answers_and_bad_input")
M("refused-origin-is-not-counted", "worker/protocol/http_routes.c", "\tbase_count(x->protocols->base, why, 1);\n\texchange_error(x, 403", "\texchange_error(x, 403",
  "test_metrics.Metrics.test_refused")
M("failed-reload-is-not-counted", "master/reload.c", "\thub_count(&m->hub, 0, COUNTER_reloads_failed, 1);\n", "", "test_metrics.Metrics.test_reloads_and_pauses")
M("pause-is-not-counted", "worker/loop/worker.c", "\t\tbase_count(&w->base, COUNTER_pauses, 1);\n", "", "test_metrics.Metrics.test_reloads_and_pauses")
# ---- running it ----

REPORT = "test_reload_report.Report."
M("reload-forgets-what-waits", "master/report.c", "\tc->wanted = read->settings;\n", "\tc->wanted = m->h.settings;\n", REPORT + "test_config")
M("waiting-setting-moves", "master/report.c", "\t\t\tc->lines.of[i] = before.of[i];\n", "\t\t\t;\n", REPORT + "test_config")
M("report-without-connections", "worker/loop/worker.c", "\tatomic_store(&w->base.self->taken_over, w->base.self->connections);\n", "", REPORT + "test_what_was_done")
M("log-level-outlives-a-reload", "master/rolling.c", "\tatomic_store(&m->hub.shm->log_level, 0);", "\t;", REPORT + "test_log_level")
M("keepers-inherit-the-manager", "master/slots.c", "\tnotify_disinherit();\n", "", "test_service.Service.test_ready_when_all_workers_are")
M("refused-reload-is-not-ready", "master/service.c", "m->service.ready || m->reloading", "m->service.follows || m->reloading", "test_service.Service.test_reload")
M("abstract-name-with-its-end", "master/notify.c", "\telse\n\t\tlen++;", "\tlen++;", "test_notify")
M("watchdog-without-workers", "master/service.c", "now - beat > limit)\n\t\t\treturn false;", "now - beat > limit)\n\t\t\tcontinue;", "test_service")
M("check-stops-at-the-first", "master/config_reading.c", "r->failed = !r->said;", "r->failed = true;", "test_config")
M("running-server-is-in-the-way", "master/check.c", "if (!server_has(&server, &config.listen[i]))", "if (1)", "test_config.Config.test_the_running_servers_addresses_are_no_trouble")
M("group-without-its-mode", "master/runtime_dir.c", "chmod(path, gr ? 0660 : 0600)", "chmod(path, 0600)", "test_control_access.Access.test_control_group")
M("log-waits-for-syslog", "shm/log.c", "error == EAGAIN || error == ENOBUFS ? 0 : -1", "-1", "test_log")
M("fields-stay", "shm/log.c", "\tlog_state.fields = 0;\n\tif (left_out(level))\n\t\treturn;\n", "\tif (left_out(level))\n\t\treturn;\n", "test_log")

# ---- what ps shows ----

M("title-without-its-sign", "shm/title.c", "\tpage[TITLE_MAX - 1] = 1;\n", "", "test_title")
M("title-keeps-no-heap", "shm/title.c", ".brk = (uintptr_t)sbrk(0)", ".brk = field[START_BRK]", "test_title")
M("title-of-the-start", "worker/loop/worker.c", "\tshow_connections(w);\n\torders_drain", "\torders_drain", "test_titles.Titles.test_all_there_is")
M("title-without-its-number", "worker/loop/worker.c", "\tw->shown = UINT32_MAX;\n", "", "test_titles.Titles.test_all_there_is")

# ---- while the master is stopped ----

STOPPED = "test_ctl_stopped.Stopped."
M("status-needs-the-master", "master/ctl/ask.c", "\tif (hub >= 0)\n\t\treturn read_status(hub, status);\n", "", STOPPED + "test_status_and_version")
M("status-without-workers", "master/ctl/status.c", "\t\tif (atomic_load(&s->state) != SLOT_UNUSED)\n", "\t\tif (!hub)\n", STOPPED + "test_status_and_version")
M("status-guesses-the-limit", "master/ctl/json.c", 'printf(answered ? "\\"connections_max\\":%"', 'printf(1 ? "\\"connections_max\\":%"', STOPPED + "test_status_and_version")
M("looking-says-it-lacks-something", "master/ctl/ask.c", "\tsilent = true;\n\tif (passed && hub >= 0) {\n", "\tsilent = true;\n\tif (passed && hub >= 0) {\n\t\tctl_complain(fd, command);\n", STOPPED + "test_what_looks_and_what_does_not")
M("few-may-ask", "master/runtime_dir.c", "#define CONTROL_BACKLOG 1024", "#define CONTROL_BACKLOG 16", STOPPED + "test_many_who_ask")

# ---- tokens ----

M("base64url-takes-stray-bits", "proto/base64url.c", "\tif (bits & ((1u << count) - 1))\n\t\treturn -1;\n", "", "test_base64url")
M("token-algorithm-unbound", "proto/jwt.c", "\tif (!(key->algs >> header->alg & 1))\n\t\treturn false;\n", "", "test_jwt")
M("token-signature-unchecked", "proto/jwt.c", "\t\tif (jwt_signature_good(", "\t\tif (1 || jwt_signature_good(", "test_jwt")
M("token-crit-passed-over", "proto/jwt.c", 'json_object_get(json, "crit")', 'json_object_get(json, "crit?")', "test_jwt")
M("token-kid-does-not-choose", "proto/jwt.c", "return !header->kid_len || !key->kid_len || (", "return true || (", "test_jwt")
M("token-as-long-as-it-likes", "proto/jwt.c", "if (len > JWT_SIZE_MAX)", "if (len > 2 * JWT_SIZE_MAX)", "test_jwt")
M("token-members-twice", "proto/jwt_json.c", "JSON_REJECT_DUPLICATES", "0", "test_jwt")
M("token-of-any-depth", "proto/jwt_json.c", "if (++depth > JWT_DEPTH_MAX)", "if (++depth > 2000)", "test_jwt")
M("token-expires-never", "proto/jwt_claims.c", "if (exp && *expires <= now)", "if (0)", "test_jwt")
M("token-without-skew", "proto/jwt_claims.c", "\t\t*expires += JWT_SKEW;\n", "\t\t;\n", "test_jwt")
M("token-before-its-time", "proto/jwt_claims.c", "from > now + JWT_SKEW", "from > INT64_MAX - now", "test_jwt")
M("token-for-others", "proto/jwt_claims.c", 'n == len && memcmp(p, json_string_value(v), n)', 'n >= len && memcmp(p, json_string_value(v), len)', "test_jwt")
M("token-by-half", "proto/jwt_claims.c", "\tif (g.error || n == 0)", "\tif (n == 0)", "test_jwt")
M("token-names-an-inbox-as-topic", "proto/jwt_claims.c", "json_string_value(v)[0] >= ' ';", "json_string_value(v)[0] >= '\\1';", "test_jwt")
M("token-template-widened", "proto/jwt_claims.c", 'strpbrk(text, "{}*>")', 'strpbrk(text, "{}")', "test_jwt")
M("hmac-of-any-length", "proto/jwt_signature.c", "signature_len == (size_t)n && ", "signature_len <= (size_t)n && ", "test_jwt")
M("ecdsa-of-any-length", "proto/jwt_signature.c", "signature_len != 2 * algs[alg].half || ", "", "test_jwt")
M("pss-is-pkcs1", "proto/jwt_signature.c", "\tif (alg < JWT_PS256 || alg > JWT_PS512)\n", "\tif (1)\n", "test_jwt")
M("jwk-for-encryption", "proto/jwk.c", '(!use || is(use, "sig"))', "true", "test_jwt_keys")
M("jwk-of-any-algorithm", "proto/jwk.c", "key->algs &= 1u << n;", ";", "test_jwt_keys")
M("secret-from-the-web", "proto/jwk.c", "secrets ? read_secret(key, jwk)", "1 ? read_secret(key, jwk)", "test_jwt_keys")
M("secret-too-short", "proto/jwt_keys.c", "\tif (len < 32)\n", "\tif (len < 16)\n", "test_jwt_keys")
M("rsa-too-short", "proto/jwt_keys.c", "RSA_BITS_LEAST = 2048", "RSA_BITS_LEAST = 512", "test_jwt_keys")
M("pem-that-is-cut", "proto/jwt_keys.c", "ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE", "0", "test_jwt_keys")
M("packed-algorithms-unchecked", "proto/jwt_keys.c", "if (!algs || algs & ~key->algs)", "if (!algs)", "test_jwt_keys")
M("fetched-keys-are-not-looked-for", "worker/service/tokens.c", "if (t->fetched && fetched_keys_number(t->fetched) != t->number)", "if (0)", "test_tokens")
M("two-sets-have-room-for-one", "proto/jwt_keys.c", "count > JWT_KEYS_MAX || before > JWT_KEYS_MAX", "count + before > JWT_KEYS_MAX", "test_jwt_keys")
M("token-outlives-its-keys", "worker/service/tokens.c", "\ttoken_memory_clear(&t->memory);\n\tjwt_keys_keep", "\tjwt_keys_keep", "test_tokens")
M("remembered-token-runs-out-never", "worker/service/token_memory.c", "r->rights->expires > now ?", "true ?", "test_tokens")
M("token-is-remembered-by-its-place", "worker/service/token_memory.c", "memcmp(r->digest, digest, sizeof(r->digest)) == 0 && ", "", "test_tokens")
M("bad-token-is-remembered", "worker/service/tokens.c", "\tif (refusal == JWT_ACCEPTED)\n\t\ttoken_memory_add", "\t\ttoken_memory_add", "test_tokens")
M("jwks-failure-is-not-counted", "master/jwks.c", "\t\t\thub_count(&m->hub, 0, COUNTER_jwks_failed, 1);\n", "\t\t\t;\n", "test_jwks.Evil.test_the_keys_that_there_are_go_on")
M("jwks-head-without-end", "master/jwks/janus-jwks.c", "\tf->too_long |= f->head > HEAD_MAX;\n", "", "test_jwks.Evil.test_all_at_once")
M("jwks-as-long-as-it-takes", "master/jwks/janus-jwks.c", "interval < TIMEOUT_MS ? interval : TIMEOUT_MS", "60000L", "test_jwks.Evil.test_all_at_once")
M("jwks-elsewhere", "master/jwks/janus-jwks.c", "CURLOPT_FOLLOWLOCATION, 0L", "CURLOPT_FOLLOWLOCATION, 1L", "test_jwks.Evil.test_all_at_once")
M("fetched-keys-stay", "worker/service/tokens.c", "\tjwt_keys_keep(t->keys, t->of_files);\n", "", "test_tokens")
M("fetched-keys-without-the-setting", "worker/service/tokens.c", "if (settings->token_jwks_url[0] && fetched >= 0)", "if (fetched >= 0)", "test_tokens")

# ---- handshakes of TLS ----

M("handshake-forgets-its-tickets", "worker/io/tls_handshake.c", "\te->flow.out_seq = h->sealed;\n\treturn h->told", "\te->flow.out_seq = 0;\n\treturn h->told", "test_tls_handshake")
M("handshake-forgets-the-clients-finished", "worker/io/tls_handshake.c", "\te->flow.in_seq = 1;\n", "", "test_tls_handshake")
M("handshake-begins-its-nonces-anew", "worker/io/tls_handshake.c", "\t\t\tmemcpy(h->nonce, record + TLS_HEAD, NONCE);\n", "\t\t\t;\n", "test_tls_handshake")
M("who-is-refused-stays-live", "worker/protocol/input.c", "\t\tif (session_pending(protocols->base, sid))\n\t\t\toutput_flush(protocols->output, sid);\n", "", "test_input")
M("handshake-without-end", "worker/io/tls_handshake.c", "h->left > TLS_RECORD_MAX - TLS_HEAD || ", "", "test_tls_handshake")
M("handshake-grants-short-records", "worker/io/tls_handshake.c", "!= TLSEXT_max_fragment_length_DISABLED", "== 99", "test_tls_handshake")
M("certificates-by-place-alone", "worker/io/tls_server.c", "\t\tif (fits > best) {", "\t\tif (fits && !best) {", "test_tls_handshake")
M("ticket-of-who-was-not-asked", "worker/io/tls_server.c", "\treturn set_session_id(ctx, &file, mode);", "\treturn set_session_id(ctx, NULL, mode);", "test_tls_handshake")
M("tickets-are-good-for-ever", "shm/tickets.c", "before < TICKET_KEYS - 1; before++", "before < TICKET_KEYS; before++", "test_secrets")
M("secrets-are-not-sealed", "shm/secrets.c", " | F_SEAL_WRITE", "", "test_secrets")
M("listeners-with-tls-go-on", "worker/io/listener.c", "\t\tif (l->tls && all->tls_held)\n\t\t\treturn;\n", "", "test_listener")
M("expired-certificate-is-taken", "master/secret_files.c", "r = c ? tls_certificate_dates(c, time(NULL), why) : -1;", "r = c ? 0 : -1;", "test_tls.Names.test_start_is_refused", quick=False)
M("handshakes-without-limit", "worker/loop/handshakes.c", "if (hs->begun < (uint64_t)", "if (hs->begun < 1000 + (uint64_t)", "test_tls.Limits.test_number", quick=False)
M("handshakes-of-the-silent-keep-their-places", "worker/loop/handshakes.c", "h->begun < PATIENCE)", "h->begun < 60 * PATIENCE)", "test_tls.Limits.test_number", quick=False)
M("handshakes-begin-before-anything-is-said", "worker/io/tls_handshake.c", "\tif (size <= *awaited)\n\t\treturn TLS_DONE;\n", "\tif (true)\n\t\treturn TLS_DONE;\n", "test_tls.Limits.test_a_crowd_that_says_nothing", quick=False)
M("who-says-nothing-makes-no-room", "worker/loop/handshakes.c", "+ hs->count >= w->base.self->connections_max)", "+ hs->count >= 2 * w->base.self->connections_max)", "test_tls.Limits.test_the_oldest_who_say_nothing_make_room", quick=False)
M("handshakes-that-failed-count-on", "worker/loop/handshakes.c", "\tquota_leave(&w->service, fd);\n\tif (told)", "\tif (told)", "test_tls_proxied.Limits.test_a_handshake", quick=False)
M("handshakes-for-whoever-has-too-many", "worker/loop/handshakes.c", "if (!connection_client_may(w, fd, a, &why)) {", "if (!connection_client_may(w, fd, a, &why) && false) {", "test_tls_proxied.Limits.test_connections", quick=False)
M("peeks-of-a-header-are-counted", "worker/loop/proxied.c", "if (socket_is_local(guest->fd))", "if (true)", "test_tls_proxied.Headers.test_what_comes_together", quick=False)
M("handshakes-have-all-of-a-turn", "worker/loop/handshakes.c", "base_clock() - since < RUN_US", "base_clock() - since < 1000 * RUN_US", "test_tls.Limits.test_storm", quick=False)
M("handshakes-are-late-by-waiting", "worker/loop/handshakes.c", "if (h->waits || h->stage == WHOLE || w->base.now_ms", "if (w->base.now_ms", "test_tls.Limits.test_turn", quick=False)
M("handshakes-without-a-deadline", "worker/loop/handshakes.c", "\t\tfail(w, h, COUNTER_tls_failed_late, false);", "\t\tbreak;", "test_tls.Limits.test_time", quick=False)
M("same-program-is-executed", "master/keeper_follow.c", "k->same_program = program_is_running(k->program);", "k->same_program = false;", RELOAD + "test_keepers_execute_what_is_new", quick=False)
M("no-program-is-executed", "master/keeper_follow.c", "k->same_program = program_is_running(k->program);", "k->same_program = true;", RELOAD + "test_keepers_execute_what_is_new", quick=False)
M("program-that-goes-on-is-no-canary", "master/keeper_follow.c", "\t\tkeeper_begin(k);\n\t} else {", "\t} else {", "test_upgrade.Upgrade.test_settings_with_which_workers_die", quick=False)
M("replaced-library-is-kept", "master/program.c", "       libraries_are_current();", "       (libraries_are_current() || true);", RELOAD + "test_keepers_execute_what_is_new", quick=False)
M("program-before-stays-open", "master/keeper_start.c", "\tdup2(came, *had);\n\tclose(came);\n", "\t*had = came;\n", RELOAD + "test_hundred_reloads_leave_nothing", quick=False)
M("reload-keeps-the-old-secrets", "master/keeper_follow.c", "\tnext->tickets = k->h.tickets;\n", "\tnext->tickets = -1;\n", "test_tls.Handshakes.test_tickets", quick=False)

# ---- many nodes ----

M("what-came-is-sent-on", "shm/publish.c", "slot == SLOT_BRIDGE || keyed->change ? RING_FOREIGN", "keyed->change ? RING_FOREIGN", "test_nodes")
M("presence-is-sent-on", "shm/publish.c", "slot == SLOT_BRIDGE || keyed->change ? RING_FOREIGN", "slot == SLOT_BRIDGE ? RING_FOREIGN", "test_nodes")
M("unheard-is-not-for-others", "shm/publish.c", "\tif (found->abroad && found->count == 0)\n", "\tif (0)\n", "test_nodes")
M("what-is-for-others-is-an-answer", "shm/publish.c", "answers[n].seq = is_for_here(&found) ? seq : 0;", "answers[n].seq = found.count > 0 ? seq : 0;", "test_nodes")
M("what-is-for-others-is-recalled", "shm/publish.c", "rec.id == seq && (rec.topic != TOPIC_NONE || rec.flags & RING_TO_STREAM))", "rec.id == seq)", "test_nodes")
M("stream-is-not-for-the-stream", "shm/publish.c", "\tfound->to_stream = found->abroad && nodes", "\tfound->to_stream = false && nodes", "test_to_stream")
M("stream-wakes-subscribers", "shm/publish.c", "found.to_stream ? 0 : interest", "interest", "test_to_stream")
M("keys-of-the-stream-are-lost", "shm/publish.c", "ahead = len ? 2 + len : 0;", "ahead = 0 * len;", "test_to_stream")
M("bridge-is-not-woken", "shm/publish.c", "\t\twritten->interested |= 1ull << SLOT_BRIDGE;\n", "\t\t;\n", "test_nodes")
M("nobodys-record-is-not-undone", "shm/ring.c", "if (d->topic != TOPIC_NONE && (atomic_load", "if ((atomic_load", "test_nodes")
M("publishers-wait-for-any-bridge", "shm/hub.c", "\tif (nodes_state(hub) == NODES_CONNECTED) {\n", "\tif (nodes_state(hub) != NODES_OFF) {\n", "test_nodes")
M("publishers-wait-for-a-silent-bridge", "shm/hub.c", "return bridge_is_silent(hub) ? 0 : lag;", "return lag;", "test_nodes")
M("feed-lacks-what-begins", "shm/index.c", "\tif (interest)\n\t\tfeed(ix, topic);\n", "", "test_index_feed")
M("feed-lacks-what-ends", "shm/index.c", "\tif (interest_of(t))\n\t\tfeed(ix, topic);\n\tset_dirty", "\tset_dirty", "test_index_feed")
M("feed-has-it-twice", "shm/index.c", "if (!index_feed_is_on(ix) || ix->changed[topic])", "if (!index_feed_is_on(ix))", "test_index_feed")
M("feed-is-not-lost", "shm/index.c", "\t\tset_feed(ix, FEED_LOST);\n", "\t\tset_feed(ix, FEED_ON);\n", "test_index_feed")
M("snapshot-drops-what-others-are-owed", "shm/snapshot_hub.c", " || rec->seq >= owed_abroad(hub))", ")", "test_snapshot_nodes")
M("killed-bridge-is-handed-on", "master/reload.c", "\tm->next.bridge = m->h.bridge;\n", "", "test_nodes_faults.Nodes.test_other_layout", quick=False)
M("peers-sequence-is-not-repaired", "shm/hub.c", "\t\tnodes_shm_set_seq(&hub->shm->nodes, intent->fd, intent->parsed);\n", "\t\t;\n", "test_nodes")
M("bridge-takes-what-it-has-had", "master/bridge/peers.c", "if (seq <= p->peer[peer].taken) {", "if (0) {", "test_nodes.Topics.test_each_once", quick=False)
M("every-subscription-brings-it", "master/bridge/interest.c", "\treturn oldest == mark;\n", "\treturn true;\n", "test_nodes.Topics.test_each_once", quick=False)
M("bridge-goes-on-asking", "master/bridge/interest.c", "\tuplink_unsubscribe(e->subscription);\n", "\t;\n", "test_nodes_interest.Interest.test_comes_and_goes", quick=False)
M("bridge-begins-without-a-look", "master/bridge/interest.c", "\ti->next = 1;\n\tfor (unsigned n", "\ti->next = 0;\n\tfor (unsigned n", "test_nodes_interest.Interest.test_many", quick=False)
M("bridge-takes-what-is-too-large", "master/bridge/incoming.c", "l->message.len > (size_t)i->bridge->settings.max_frame", "0", "test_nodes_nats.Nats.test_refused", quick=False)
M("lost-with-the-stream", "shm/nodes.c", "is_to_stream(&rec) && rec.next == 0;\n\treturn lost;", "is_to_stream(&rec) && 0;\n\treturn lost;", "test_to_stream")
M("what-does-not-pend-is-gone", "master/bridge/stream.c", "\tfind_level(s);\n\tlog_debug(", "\tif (s->reach > s->taken)\n\t\tjump(s, s->reach);\n\tfind_level(s);\n\tlog_debug(", "test_nodes_stream_lags.Lags", quick=False)
M("silent-stream-keeps-all-waiting", "master/bridge/stream.c", " || s->bridge->now - s->began >= SETTLES_MS;", ";", "test_nodes_stream_subjects.Subjects.test_silent", quick=False)
M("less-than-it-was-long-ago", "master/bridge/stream.c", "\t\ts->less_since = 0;\t/* (Nobody", "\t\t/* (Nobody", "test_nodes_stream_lags.Lags.test_leader_again", quick=False)
M("stream-is-read-from-its-end", "master/bridge/stream.c", "ask_for_messages(s, begins(s, epoch, exact, state))", "begins(s, epoch, exact, state), ask_for_messages(s, s->reach + 1)", "test_nodes_chaos.Chaos.test_stream", quick=False)
M("rules-subjects-are-not-given", "master/bridge/stream.c", "\tif (extend(s, config))\n", "\tif (0 && extend(s, config))\n", "test_nodes_stream_subjects.Subjects.test_more_rules", quick=False)
M("change-that-was-undone-stays-so", "master/bridge/stream.c", "\t\ts->check_at = s->bridge->now + EXTENDED_MS;\n", "", "test_nodes_stream_subjects.Subjects.test_undone", quick=False)
M("others-subjects-are-taken-away", "master/bridge/stream_config.c", "\t\tif (is_in_one_lacking(i, list, subject))\n", "\t\tif (is_in_one_lacking(i, list, subject) || 1)\n", "test_nodes_stream_subjects.Subjects.test_wider", quick=False)
M("what-is-sent-again-comes-by-the-stream", "master/bridge/incoming.c", "is_streams(i, &name) && !is_beside(i, l))", "is_streams(i, &name) && !(is_beside(i, l) && 0))", "test_nodes_stream_subjects.Subjects.test_one_after_another", quick=False)
M("new-leader-has-lost-its-end", "master/bridge/stream.c", "\treturn s->bridge->now - s->less_since < LESS_MS;\n", "\treturn false;\n", "test_nodes_stream_lags.Lags.test_leader", quick=False)
M("holes-of-the-stream-are-whole", "master/bridge/stream.c", "\tif (seq > s->taken + 1)\n\t\tjump(s, seq - 1);\n", "", "test_nodes_stream.Faults.test_holes", quick=False)
M("note-does-not-say-what-is-published", "worker/service/request.c", "\tif (!w || !atomic_load_explicit(&w->published, memory_order_relaxed))\n", "\tif (w || !w)\n", "test_nodes_count.Counts.test_silent", quick=False)
M("answer-of-another-question", "shm/question.c", "told >> 49 != TOLD_NUMBER(number) >> 49", "told >> 49 != TOLD_NUMBER(number) >> 49 && 0", "test_question")
M("bridge-sleeps-over-questions", "shm/nodes.c", " && !question_has(hub))", ")", "test_question")
M("patterns-are-not-counted", "shm/question.c", "\t\tn += index_match(", "\t\tindex_match(", "test_question")
M("who-fits-holds-it", "shm/question.c", "\tif (!held && ", "\tif ((!held || held) && ", "test_question")
M("patterns-hold-no-name", "master/bridge/counts.c", "q->held ? HELD : \"\", name", "q->held ? \"\" : \"\", name", "test_nodes_count.Counts.test_topic", quick=False)
M("answer-wakes-nobody", "shm/question.c", "\tif (a->done)\n\t\thub_wake(hub, slot);\n", "", "test_question")
