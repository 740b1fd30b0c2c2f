/*
 * What keepers have beside what is configured. See differs.h.
 */
#include "master/differs.h"

#include <unistd.h>

#include "master/listen.h"
#include "master/program.h"
#include "master/secret_files.h"

/* NULL: the listen sockets are those of the configuration. */
static const char *listeners_differ(const struct master *m, const struct config *config)
{
	unsigned own = 0;

	for (unsigned i = 0; i < m->h.listeners; i++)
		own += listen_is_own(&m->h.listen[i], m->dir.path);
	if (m->h.listeners - own != config->listeners)
		return "addresses";
	for (unsigned i = 0; i < config->listeners; i++) {
		const struct listen_address *a = &config->listen[i];
		bool found = false;

		for (unsigned j = 0; j < m->h.listeners && !found; j++) {
			const struct handover_listener *l = &m->h.listen[j];

			found = listen_serves(l, a) && l->proto == (int)a->proto && l->tls == a->tls && l->slow == a->slow && l->proxy == a->proxy;
		}
		if (!found)
			return "addresses";
	}
	return NULL;
}

static const char *slots_differ(const struct master *m)
{
	for (unsigned i = 0; i < INDEX_SLOTS_MAX; i++) {
		const struct hub_slot_shm *s = &m->hub.shm->slot[i];

		if (!m->h.slots[i].used)
			continue;
		if (m->h.slots[i].draining == (i < (unsigned)m->config.settings.workers))
			return "workers";
		if (!m->slot[i].ours && atomic_load(&s->reload_number) != m->h.reload_number)
			return "a reload that had not come to all workers";
	}
	return NULL;
}

static const char *files_differ(const struct master *m, const struct settings *settings)
{
	char error[CONFIG_ERROR_MAX], changed[SECRET_FILES_CHANGED_MAX];
	int secrets = -1;

	if (secret_files_read(settings, &secrets, error) < 0)
		return m->h.revived ? NULL : "files of secrets";
	secret_files_changed(m->h.secrets, secrets, changed);
	if (secrets >= 0)
		close(secrets);
	return changed[0] ? "files of secrets" : NULL;
}

static const char *program_differs(const struct master *m)
{
	int fd = program_open(m->h.program);
	bool same = fd >= 0 && program_same_file(fd, m->program);

	if (fd >= 0)
		close(fd);
	return same ? NULL : "the program";
}

const char *differs_what(struct master *m)
{
	static struct config config;
	char error[CONFIG_ERROR_MAX];
	const char *what;

	if (config_read(&config, &m->source, error) < 0)
		return m->h.revived ? NULL : "the configuration";
	if (!m->h.config.there || !settings_equal(&config.settings, &m->h.config.wanted))
		return "settings";
	(void)((what = program_differs(m)) || (what = slots_differ(m)) || (what = listeners_differ(m, &config)) || (what = files_differ(m, &config.settings)));
	return what;
}
