/*
 * The journal: what history keeps, and keys of publishes, in a file, so that they outlive the server. (The setting `data`.)
 *
 * One process writes it, janus-data, which follows the ring as a reader does: nobody who publishes waits for it, or knows of it. It appends each message that
 * history keeps, and each key, and notes in the hub how far it is (journal_shm). The file is not what is read while the server runs; memory has all that is in
 * it. So there is one remedy for whatever goes wrong, for what has become too large, and for a start: the file is written anew from memory
 * (journal_begin()), beside the old one, which it replaces when it is whole and on the disk.
 *
 *   journal        head | message, key, message ...                       while a server runs, or after one that was killed
 *                  head | message, key, message ... | topic ... | end     after one that ended in order
 *   journal.new    the next one, not whole yet
 *   journal.damaged  what was the journal, when a part of it could not be read
 *
 * What the ring has overwritten before the writer came is taken from history, topic by topic. So a topic's messages are in their order, those of several
 * topics need not be; a message may be there twice; and of a topic some may be missing: `after` and `number` tell, and what is before the gap is given up by who
 * reads (history_restore()).
 *
 * A file without an end says: there may have been messages that nobody wrote down. Their sequences must not be given again, so the next server's begin
 * JOURNAL_JUMP behind the last one that is known; and who resumes from before that is told that something may be missing (index_shm.unknown).
 *
 * Functions return 0, or -1 with errno, if nothing else is said. All of them are for janus-data alone.
 */
#ifndef SHM_JOURNAL_H
#define SHM_JOURNAL_H

#include <stdbool.h>
#include <stdint.h>

#include "shm/hub.h"
#include "shm/journal_file.h"

#define JOURNAL_NAME "journal"
#define JOURNAL_NEW "journal.new"
#define JOURNAL_DAMAGED "journal.damaged"
#define JOURNAL_OWNER (INDEX_SLOTS_MAX + 2)	/* its number for the hub lock, which it takes only to look */
#define JOURNAL_JUMP (UINT64_C(1) << 40)	/* more messages than are published while a journal can't be written: twelve days of a million a second */

struct journal {
	struct hub *hub;		/* its history.rules are those in force */
	int dir;			/* descriptor of the folder */
	uint64_t rules;			/* index_hash() of the setting `history` */
	struct journal_out out;		/* fd -1: there is no file */
	bool unsynced;			/* something was written since journal_sync() */
};

void journal_init(struct journal *j, struct hub *hub, int dir, uint64_t rules);
void journal_fini(struct journal *j);

/* ---- at a server's start: nobody else uses the hub, which is empty ---- */

struct journal_restored {
	bool found;			/* there was a journal */
	bool ended;			/* in order */
	uint64_t messages, keys;	/* put into the hub */
	uint64_t cut;			/* bytes of the file that could not be read, as they are damaged; they and the rest are in JOURNAL_DAMAGED */
	int error;			/* why: EBADMSG, or the errno of reading; 0: all of it could be read */
};

/*
 * Reads what is there into the hub, as far as it is whole, and as the rules want it. -1: ENOTSUP, it is a later version's; ENOMEM; what it is that stands at
 * the path can't be opened. Then journal_begin() says that another life begins; if it can't, journal_disown() does.
 */
int journal_restore(struct journal *j, struct journal_restored *result);
/* The file that is there will not have what comes now: takes its end away, in place, and has the hub's ids begin with another epoch. */
int journal_disown(struct journal *j);

/* ---- while it runs ---- */

/* Opens the file as the predecessor's note says. -1: it is not so, and the file is to be written anew. */
int journal_resume(struct journal *j);
/* Writes the file anew. If that fails, the old one goes on. */
int journal_begin(struct journal *j);
/* Writes what has been published since: 1, or 0 if there was nothing. If that fails, it may be called again; the file has what it had. */
int journal_follow(struct journal *j);
/* Forces it to the disk. If that fails nobody knows what the file has: it is to be written anew. */
int journal_sync(struct journal *j);
/* Whether the file has grown so much that it should be written anew. */
bool journal_is_large(const struct journal *j);
/* Whether somebody has removed it. */
bool journal_is_gone(const struct journal *j);

/* At the end: all who publish are gone, and the hub is in order. */
int journal_end(struct journal *j);

#endif
