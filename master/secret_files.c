/*
 * The files that settings name and workers may not be allowed to read. See secret_files.h.
 */
#include "master/secret_files.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "proto/api_keys.h"
#include "shm/secrets.h"
#include "worker/io/tls_certificate.h"
#include "worker/io/tls_server.h"

static int add_file(int fd, const char *setting, const char *kind, const char *path, char error[CONFIG_ERROR_MAX])
{
	int number;

	if (secrets_add_file(fd, kind, path) == 0)
		return 0;
	number = errno;
	snprintf(error, CONFIG_ERROR_MAX, "%s: %.255s: %s", setting, path, strerror(number));
	errno = number;
	return -1;
}

/* Pairs of CERT.pem KEY.pem, and who signs clients' certificates. */
static int add_tls(int fd, const struct settings *s, char error[CONFIG_ERROR_MAX])
{
	const char *list = s->tls_certificate;
	char path[SETTINGS_TEXT_MAX];
	bool optional;

	while (config_list_next(&list, path, sizeof(path)))
		if (add_file(fd, "tls_certificate", SECRET_TLS_CERTIFICATE, path, error) < 0 || !config_list_next(&list, path, sizeof(path)) ||
		    add_file(fd, "tls_certificate", SECRET_TLS_KEY, path, error) < 0)
			return -1;
	config_client_ca(s->tls_client_ca, path, &optional);
	return *path ? add_file(fd, "tls_client_ca", optional ? SECRET_TLS_CLIENT_CA_OPTIONAL : SECRET_TLS_CLIENT_CA, path, error) : 0;
}

/* The whole file, in malloc()ed memory. NULL with errno. */
static char *read_file(const char *path, size_t *len)
{
	FILE *f = fopen(path, "re");
	char *text = f ? malloc(SECRETS_FILE_MAX + 1) : NULL;

	*len = text ? fread(text, 1, SECRETS_FILE_MAX + 1, f) : 0;
	if (text && (ferror(f) || *len > SECRETS_FILE_MAX)) {
		errno = ferror(f) ? errno : EFBIG;
		explicit_bzero(text, *len);
		free(text);
		text = NULL;
	}
	if (f)
		fclose(f);
	return text;
}

/* Digests of the keys, as a worker has no use for more. */
static int add_api_keys(int fd, const char *path, char error[CONFIG_ERROR_MAX])
{
	size_t len, size = 0;
	char *text = read_file(path, &len);
	int number = errno, r = -1;
	const char *why = NULL;
	uint8_t *keys = NULL;
	unsigned line;

	if (!text) {
		snprintf(error, CONFIG_ERROR_MAX, "api_key: %.255s: %s", path, strerror(number));
		errno = number;
		return -1;
	}
	keys = api_keys_read(text, len, &size, &why, &line);
	explicit_bzero(text, len);
	free(text);
	if (!keys && line)
		snprintf(error, CONFIG_ERROR_MAX, "api_key: %.255s:%u: %s", path, line, why);
	else if (!keys)
		snprintf(error, CONFIG_ERROR_MAX, "api_key: %.255s: %s", path, why);
	else if ((r = secrets_add(fd, SECRET_API_KEYS, path, keys, size)) < 0)
		snprintf(error, CONFIG_ERROR_MAX, "secrets: %s", strerror(errno));
	free(keys);
	errno = EINVAL;
	return r;
}

/* Certificates that are not good now: a worker that follows later uses them all the same. */
static int check_dates(const struct secrets *secrets, char why[TLS_WHY_MAX])
{
	struct secret certificate, key;
	size_t at = 0, key_at = 0;
	int r = 0;

	while (r == 0 && secrets_next(secrets, SECRET_TLS_CERTIFICATE, &at, &certificate) && secrets_next(secrets, SECRET_TLS_KEY, &key_at, &key)) {
		struct tls_certificate *c = tls_certificate_read(&certificate, &key, why);

		r = c ? tls_certificate_dates(c, time(NULL), why) : -1;
		tls_certificate_free(c);
	}
	return r;
}

/* What was read, by doing with it what a worker will. */
static int check_tls(const struct settings *s, const struct secrets *secrets, char error[CONFIG_ERROR_MAX])
{
	struct tls_server *server;
	char why[TLS_WHY_MAX];
	int r;

	if (!s->tls_certificate[0])
		return 0;
	r = check_dates(secrets, why);
	server = r < 0 ? NULL : tls_server_create(s, secrets, NULL, why);
	if (!server) {
		snprintf(error, CONFIG_ERROR_MAX, "TLS: %.480s", why);
		r = -1;
	}
	tls_server_destroy(server);
	return r;
}

static int read_into(int fd, const struct settings *s, char error[CONFIG_ERROR_MAX])
{
	struct secrets secrets;
	int r;

	if (add_tls(fd, s, error) < 0 || (s->api_key[0] && add_api_keys(fd, s->api_key, error) < 0))
		return -1;
	if (secrets_seal(fd) < 0 || secrets_map(&secrets, fd) < 0) {
		snprintf(error, CONFIG_ERROR_MAX, "secrets: %s", strerror(errno));
		return -1;
	}
	r = check_tls(s, &secrets, error);
	secrets_unmap(&secrets);
	errno = EINVAL;
	return r;
}

int secret_files_read(const struct settings *s, int *fd, char error[CONFIG_ERROR_MAX])
{
	int number;

	*fd = -1;
	if (!s->tls_certificate[0] && !s->tls_client_ca[0] && !s->api_key[0])
		return 0;
	*fd = secrets_begin();
	if (*fd >= 0 && read_into(*fd, s, error) == 0)
		return 0;
	number = errno;
	if (*fd < 0)
		snprintf(error, CONFIG_ERROR_MAX, "secrets: %s", strerror(number));
	else
		close(*fd);
	*fd = -1;
	errno = number;
	return -1;
}
