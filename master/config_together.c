/*
 * Settings that depend on each other: each may be right, and both wrong. What else depends on several of them is config_reach.c's.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "master/config_reading.h"

uint64_t config_buffered_least(const struct settings *settings)
{
	return 4ull * (uint64_t)settings->workers * (3ull * (uint64_t)settings->max_frame + 65536);
}

/* (Its address does not fit if the control socket's doesn't: whoever opens them says so.) */
static bool listens_on_own(const struct config *c)
{
	struct listen_address own;

	if (config_address_own(&own, c->settings.runtime_dir) < 0)
		return false;
	for (unsigned i = 0; i < c->listeners; i++)
		if (config_address_same(&c->listen[i], &own))
			return true;
	return false;
}

/* No line is to blame. */
__attribute__((format(printf, 2, 3))) static void refuse(struct config_reading *r, const char *format, ...)
{
	va_list args;

	if (r->failed)
		return;
	va_start(args, format);
	vsnprintf(r->error, CONFIG_ERROR_MAX, format, args);
	va_end(args);
	config_tell(r);
}

/* With the line that the address is in. */
static void fail_listen(struct config_reading *r, const struct listen_address *address, const char *why)
{
	r->line_number = address->line > 0 ? (unsigned)address->line : 0;
	config_fail(r, "listen: %s %s", address->url, why);
	r->line_number = 0;
}

void config_together_check(struct config_reading *r)
{
	const struct settings *s = &r->config->settings;
	const struct listen_address *reached;
	char limit[32], beat[32];

	if (listens_on_own(r->config))
		refuse(r, "listen: the socket `admin` in %.256s is the server's own: take another path", s->runtime_dir);
	for (unsigned i = 0; i < r->config->listeners; i++)
		if (r->config->listen[i].tls && !s->tls_certificate[0]) {
			fail_listen(r, &r->config->listen[i], "takes a certificate: tls_certificate = /PATH/CERT.pem /PATH/KEY.pem");
			break;
		}
	for (unsigned i = 0; i < r->config->listeners; i++)
		if (r->config->listen[i].proxy && !s->trusted_proxies[0]) {
			fail_listen(r, &r->config->listen[i], "is for proxies: say which in trusted_proxies");
			break;
		}
	if ((reached = config_reached_by_all(r->config)) != NULL)
		fail_listen(r, reached, "can be reached by others, and everybody may do everything: say who may do what (api_key, token_keys or anonymous), "
			    "or anonymous = all if that is meant, or listen on 127.0.0.1");
	if (s->trusted_proxies[0] && !settings_say_who(s))
		refuse(r, "trusted_proxies: who comes by a proxy comes from elsewhere, and everybody may do everything: say who may do what (api_key, token_keys or anonymous), "
		       "or anonymous = all if that is meant, as the proxy has its own say");
	if (config_tls_pairs(s->tls_certificate) < 0)
		refuse(r, "tls_certificate: a certificate lacks its key: they are pairs, CERT.pem KEY.pem");
	if (s->tls_client_rights[0] && !s->tls_client_ca[0])
		refuse(r, "tls_client_rights: nobody has a certificate without tls_client_ca, the authorities that sign them");
	if ((s->nats_user[0] != '\0') != (s->nats_password_file[0] != '\0'))
		refuse(r, "nats_user and nats_password_file: one takes the other");
	if (s->nats_stream[0] && (!s->nats[0] || !s->history[0] || s->data[0]))
		refuse(r, s->data[0] ? "nats_stream: history comes of the stream: it goes without `data`" : "nats_stream: it takes `nats`, and rules of `history`");
	if (s->nats_tls_certificate[0] && config_tls_pairs(s->nats_tls_certificate) != 1)
		refuse(r, "nats_tls_certificate: it is one certificate and its key, CERT.pem KEY.pem");
	/* A batch of messages is up to an eighth of the ring, and a message must fit into a batch. */
	if (s->ring_bytes < 16 * s->max_frame)
		refuse(r, "ring_bytes (%lld) must be at least 16 times max_frame (%lld)", (long long)s->ring_bytes, (long long)s->max_frame);
	if (s->max_buffered && (uint64_t)s->max_buffered < config_buffered_least(s))
		refuse(r, "max_buffered (%lld) must be at least 12 times max_frame, and 256 KiB, for each worker (%llu)",
		       (long long)s->max_buffered, (unsigned long long)config_buffered_least(s));
	if (s->idle_limit && s->idle_limit <= s->heartbeat)
		refuse(r, "idle_limit (%s) must be more than heartbeat (%s): who is to answer must have been asked",
		       config_number_text(limit, sizeof(limit), &settings_table[SETTING_PLACE_idle_limit], s->idle_limit),
		       config_number_text(beat, sizeof(beat), &settings_table[SETTING_PLACE_heartbeat], s->heartbeat));
}
