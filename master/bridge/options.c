/*
 * libnats' options. See options.h. Secrets come in memory: libnats is given texts and asks callbacks, and never a file's name.
 */
#include "master/bridge/options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "master/bridge/nkey.h"
#include "shm/log.h"
#include "shm/secrets.h"

#define SERVERS_MAX 64
#define CONNECT_MS 2000			/* to each server */
#define PING_MS 5000			/* of a connection on which nothing comes; the second one that is not answered ends it */

/* Whoever signs what NATS asks with: a seed, and with credentials who it is of. Kept as long as the process lives. */
struct identity {
	char *jwt, *seed;
};

/* A secret as a text, NULL: there is none. */
static char *secret_text(const struct secrets *secrets, const char *kind)
{
	struct secret found;
	size_t at = 0;

	return secrets_next(secrets, kind, &at, &found) ? strndup((const char *)found.bytes, found.len) : NULL;
}

static void free_secret(char *text)
{
	if (text)
		explicit_bzero(text, strlen(text));
	free(text);
}

/* ---- who we are ---- */

static natsStatus give_jwt(char **jwt, char **error, void *with)
{
	const struct identity *i = with;

	*jwt = strdup(i->jwt);
	*error = NULL;
	return *jwt ? NATS_OK : NATS_NO_MEMORY;
}

static natsStatus give_signature(char **error, unsigned char **signature, int *len, const char *nonce, void *with)
{
	const struct identity *i = with;

	*error = NULL;
	return nats_Sign(i->seed, nonce, signature, len);
}

/* What a credentials file has between the line that begins with dashes and has `what` in it, and the next line of dashes. */
static char *section(const char *text, const char *what)
{
	const char *at = strstr(text, what), *end;

	at = at ? strchr(at, '\n') : NULL;
	if (at == NULL)
		return NULL;
	at += strspn(at, " \r\n\t");
	end = strpbrk(at, " \r\n\t");
	return end ? strndup(at, (size_t)(end - at)) : NULL;
}

static natsStatus use_credentials(natsOptions *o, const char *text)
{
	static struct identity identity;

	identity.jwt = section(text, "BEGIN NATS USER JWT");
	identity.seed = section(text, "BEGIN USER NKEY SEED");
	if (identity.jwt == NULL || identity.seed == NULL) {
		log_error("nats_credentials: there is no JWT with its seed in it");
		return NATS_INVALID_ARG;
	}
	return natsOptions_SetUserCredentialsCallbacks(o, give_jwt, &identity, give_signature, &identity);
}

static natsStatus use_nkey(natsOptions *o, const char *text)
{
	static struct identity identity;
	char public[NKEY_TEXT];

	identity.seed = strndup(text, strcspn(text, " \r\n\t"));
	if (identity.seed == NULL || nkey_public(identity.seed, public) < 0) {
		log_error("nats_nkey_file: it is no seed of a user, which begins with SU");
		return NATS_INVALID_ARG;
	}
	return natsOptions_SetNKey(o, public, give_signature, &identity);
}

static natsStatus use_password(natsOptions *o, const struct settings *settings, const char *password)
{
	return natsOptions_SetUserInfo(o, settings->nats_user, password ? password : "");
}

static natsStatus use_identity(natsOptions *o, const struct settings *settings, const struct secrets *secrets)
{
	char *password = secret_text(secrets, SECRET_NATS_PASSWORD), *token = secret_text(secrets, SECRET_NATS_TOKEN);
	char *credentials = secret_text(secrets, SECRET_NATS_CREDENTIALS), *seed = secret_text(secrets, SECRET_NATS_NKEY);
	natsStatus s = NATS_OK;

	if (settings->nats_user[0])
		s = use_password(o, settings, password);
	if (s == NATS_OK && token)
		s = natsOptions_SetToken(o, token);
	if (s == NATS_OK && credentials)
		s = use_credentials(o, credentials);
	if (s == NATS_OK && seed)
		s = use_nkey(o, seed);
	free_secret(password);
	free_secret(token);
	free_secret(credentials);
	free_secret(seed);
	return s;
}

/* ---- TLS ---- */

static bool wants_tls(const struct settings *settings)
{
	return strstr(settings->nats, "tls://") || settings->nats_tls_ca[0] || settings->nats_tls_certificate[0];
}

static natsStatus use_tls(natsOptions *o, const struct settings *settings, const struct secrets *secrets)
{
	char *ca = secret_text(secrets, SECRET_NATS_CA), *certificate = secret_text(secrets, SECRET_NATS_CERTIFICATE), *key = secret_text(secrets, SECRET_NATS_KEY);
	natsStatus s = wants_tls(settings) ? natsOptions_SetSecure(o, true) : NATS_OK;

	if (s == NATS_OK && ca)
		s = natsOptions_SetCATrustedCertificates(o, ca);
	if (s == NATS_OK && certificate && key)
		s = natsOptions_SetCertificatesChain(o, certificate, key);
	free_secret(ca);
	free_secret(certificate);
	free_secret(key);
	return s;
}

/* ---- servers ---- */

static natsStatus use_servers(natsOptions *o, const char *list)
{
	const char *servers[SERVERS_MAX];
	char *text = strdup(list), *rest = text;
	natsStatus s = NATS_INVALID_ARG;
	int n = 0;

	for (char *word; text && n < SERVERS_MAX && (word = strtok_r(rest, " ,\t\n", &rest)) != NULL; n++)
		servers[n] = word;
	if (n > 0)
		s = natsOptions_SetServers(o, servers, n);
	free(text);
	return s;
}

natsOptions *options_make(const struct settings *settings, int secrets_fd, const char *node)
{
	struct secrets secrets = { 0 };
	natsOptions *o = NULL;
	char name[128];
	natsStatus s;

	if (secrets_fd >= 0 && secrets_map(&secrets, secrets_fd) < 0) {
		log_error("secrets: %m");
		return NULL;
	}
	snprintf(name, sizeof(name), "janus %s", node);
	s = natsOptions_Create(&o);
	if (s == NATS_OK)
		s = natsOptions_SetName(o, name);
	if (s == NATS_OK)
		s = use_servers(o, settings->nats);
	if (s == NATS_OK)
		s = natsOptions_SetTimeout(o, CONNECT_MS);
	if (s == NATS_OK)
		s = natsOptions_SetPingInterval(o, PING_MS);
	if (s == NATS_OK)
		s = natsOptions_SetMaxPingsOut(o, 1);
	if (s == NATS_OK)
		s = use_identity(o, settings, &secrets);
	if (s == NATS_OK)
		s = use_tls(o, settings, &secrets);
	if (secrets_fd >= 0)
		secrets_unmap(&secrets);
	if (s == NATS_OK)
		return o;
	log_error("nats: %s", nats_GetLastError(NULL) && *nats_GetLastError(NULL) ? nats_GetLastError(NULL) : natsStatus_GetText(s));
	natsOptions_Destroy(o);
	return NULL;
}
