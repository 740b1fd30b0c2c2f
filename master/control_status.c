/*
 * What janusctl is told of the server: its status, and the segments, from which it reads counters and clients itself.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "master/listen.h"
#include "master/master.h"
#include "master/nodes_status.h"
#include "master/slot_status.h"
#include "shm/descriptors.h"
#include "shm/log.h"

static void fill_workers(const struct master *m, struct control_status *status)
{
	for (unsigned i = 0; i < INDEX_SLOTS_MAX; i++)
		if (m->h.slots[i].used)
			slot_status_add(status, &m->hub, i, m->h.slots[i].keeper, m->h.slots[i].draining);
	if (m->config.settings.max_connections && (uint64_t)m->config.settings.max_connections < status->connections_max)
		status->connections_max = (uint64_t)m->config.settings.max_connections;
}

void control_status(struct master *m, int caller, const struct control_request *request)
{
	static struct control_status status;
	static char packet[CONTROL_PACKET_MAX];

	(void)request;
	memset(&status, 0, sizeof(status));
	snprintf(status.version, sizeof(status.version), "%s", JANUS_VERSION);
	status.pid = (uint32_t)getpid();
	status.revived = m->h.revived;
	status.started = m->h.started;
	snprintf(status.file, sizeof(status.file), "%s", m->config.file);
	snprintf(status.runtime_dir, sizeof(status.runtime_dir), "%s", m->dir.path);
	snprintf(status.data, sizeof(status.data), "%s", m->h.settings.data);
	if (atomic_load(&m->hub.shm->journal.state) == JOURNAL_FAILING)
		snprintf(status.data_error, sizeof(status.data_error), "%s", strerror((int)atomic_load(&m->hub.shm->journal.error)));
	nodes_status_text(&m->hub, status.nodes, sizeof(status.nodes));
	for (unsigned i = 0; i < m->h.listeners; i++) {
		const struct handover_listener *l = &m->h.listen[i];
		bool own = listen_is_own(l, m->dir.path);

		snprintf(own ? status.admin : status.listen[status.listeners++], sizeof(status.admin), "%s", l->bound);
	}
	fill_workers(m, &status);
	status.buffered_max = m->hub.shm->buffered_max;
	control_send(caller, packet, control_status_pack(packet, &status));
	close(caller);
}

/* Answers with descriptors. They are opened anew, read-only, as a descriptor's mode can't be narrowed. */
static void pass(int caller, const int *fds, unsigned count)
{
	static char packet[CONTROL_PACKET_MAX];
	struct iovec iov = { packet, control_reply_pack(packet, NULL) };
	int passed[INDEX_SLOTS_MAX], error = 0;
	unsigned opened = 0;
	char path[64];

	for (; opened < count && !error; opened += !error) {
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fds[opened]);
		passed[opened] = open(path, O_RDONLY | O_CLOEXEC);
		error = passed[opened] < 0 ? errno : 0;
	}
	if (error) {
		control_answer(caller, strerror(error));
	} else {
		if (descriptors_send(caller, &iov, 1, passed, count, MSG_DONTWAIT) < 0)
			log_warning_limited("control socket: %s", strerror(errno));
		close(caller);
	}
	while (opened > 0)
		close(passed[--opened]);
}

/* The hub, read-only. */
void control_hub(struct master *m, int caller, const struct control_request *request)
{
	(void)request;
	pass(caller, &m->h.hub, 1);
}

void control_slots(struct master *m, int caller, const struct control_request *request)
{
	int fds[INDEX_SLOTS_MAX];
	unsigned count = 0;

	(void)request;
	for (unsigned i = 0; i < INDEX_SLOTS_MAX; i++)
		if (m->h.slots[i].used)
			fds[count++] = m->h.slots[i].segment;
	pass(caller, fds, count);
}
