/*
 * The TLS segment of a slot: for each descriptor what its TLS connection is, if it has one. A memfd of its own, so that janusctl, which maps slot
 * segments, never sees keys: mapped by the slot's keeper and worker only, locked in memory, in no core dump. A plain connection takes none of its memory.
 *
 *   tls_shm | entries, by descriptor
 *
 * To everything above worker/io, TLS is a kernel of its own. "Bytes the kernel accepted" (session_state_shm.sent) and "bytes it handed out"
 * (parsed, buffer_shm.base and len) count the plaintext stream. The flow says how far TLS is ahead of, or behind, that and the socket.
 *
 * One sequence number seals one text. A record is sealed only while nothing is pending; its text is the session's stream at `taken`; and before it is sealed
 * slot_shm.flight[] names the session and tls_shm.flight_taken[] says what `taken` will be. So a successor makes the same text of the stream, and
 * the same bytes of it. What of a sealed record the kernel does not accept is pending, as bytes that are never sealed anew. See ARCHITECTURE.md, "TLS".
 */
#ifndef SHM_TLS_SHM_H
#define SHM_TLS_SHM_H

#include <stdatomic.h>
#include <stdint.h>

#include "proto/tls_record.h"
#include "shm/session_shm.h"

#define TLS_MAGIC 0x31534c5453414aull	/* "JASTLS1" */

/* tls_flow_shm.control */
enum {
	TLS_UPDATE_OWED = 1,		/* we are to send a KeyUpdate, before anything of the stream */
	TLS_CLOSE_OWED = 4,		/* we are to send close_notify behind the stream's end, and then shut */
	TLS_CLOSE_SEALED = 8,		/* it is sent, or in `pending` */
	TLS_ALERT_OWED = 16,		/* a fatal alert, tls_flow_shm.alert, is to be sent, and then the connection ends */
	TLS_OWED = TLS_UPDATE_OWED | TLS_CLOSE_OWED | TLS_ALERT_OWED,
	TLS_PEER_CLOSED = 32,		/* the peer's close_notify was opened: what follows in the socket is not looked at */
	TLS_BY_KERNEL = 64,		/* the kernel makes our records (worker/io/tls_kernel.h), since before the session was there: nothing is sealed here, and nothing pending */
};

struct tls_flow_shm {
	uint64_t taken;			/* bytes of the session's stream that are in records: sealed and sent, or pending. >= session_state_shm.sent */
	uint64_t wire_out;		/* bytes of the connection that the kernel has accepted, the handshake's included; with TLS_BY_KERNEL: that it has, or has made */
	uint64_t opened;		/* bytes of input that were opened into the session's buffer: buffer_shm.base + len, or parsed */
	uint64_t wire_in;		/* bytes of the connection that we have taken, the handshake's and what is held included */
	uint64_t out_seq, in_seq;	/* of the next record to be sealed, to be opened */
	uint32_t pending;		/* pool buffer with sealed bytes that the kernel has not accepted yet, 0 none */
	uint32_t pending_start, pending_end;
	uint32_t held;			/* pool buffer with the beginning of a record that is not whole yet, 0 none */
	uint32_t held_len;
	uint16_t control;
	uint8_t alert;
	uint8_t pad;
};
_Static_assert(sizeof(struct tls_flow_shm) == 72, "layout");

struct tls_entry_shm {
	struct tls_flow_shm flow;
	struct tls_kind kind;		/* version 0: the descriptor's connection is plain */
	uint16_t pad;
	struct tls_keys out, in;
};
_Static_assert(sizeof(struct tls_entry_shm) <= 272, "a TLS connection costs that much more");

struct tls_shm {
	_Alignas(64) _Atomic uint64_t magic;	/* stored last */
	uint32_t layout;			/* HUB_LAYOUT */
	uint32_t entries;
	uint64_t size, entries_at;

	/* the redo record: the flow, and the keys if a generation changes, that an entry is getting (as slot_shm.redo) */
	_Alignas(64) struct tls_entry_shm redo;
	_Atomic uint32_t redo_fd;		/* + 1; 0 none. (Its keys are wiped when they are copied: redo.kind.version is 0 if only the flow changes.) */
	_Atomic uint32_t changing;		/* descriptor whose entry begins or ends, + 1; 0 none */

	/* beside slot_shm.flight[]: what `taken` of that session becomes with the send; counted by slot_shm.flights */
	uint64_t flight_taken[FLIGHT_MAX];
};

#endif
