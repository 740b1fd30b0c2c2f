/*
 * The files that settings name and workers may not be allowed to read. See secret_files.h.
 */
#include "master/secret_files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "proto/api_keys.h"
#include "proto/jwt_keys.h"
#include "shm/log.h"
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

/* A secret that everybody may read is none. It is used all the same: who may enter its folder is not known here. */
static void warn_of_readers(const char *setting, const char *path)
{
	struct stat st;

	if (stat(path, &st) == 0 && st.st_mode & S_IROTH)
		log_warning("%s: %s may be read by every user of this machine (mode %04o): chmod o-r", setting, path, (unsigned)(st.st_mode & 07777));
}

/* Whether such a file of token_keys has a secret: no PEM, which has public keys and certificates alone, and no JWK of another kind. */
static bool has_secret(const char *bytes, size_t len)
{
	return !memmem(bytes, len, "-----BEGIN ", 11) && (!memchr(bytes, '{', len) || memmem(bytes, len, "\"oct\"", 5));
}

/* The list's next pair, CERT.pem KEY.pem. 1; 0: there is none; -1 with error[] and errno. */
static int add_pair(int fd, const char *setting, const char *certificate, const char *key, const char **list, char error[CONFIG_ERROR_MAX])
{
	char path[SETTINGS_TEXT_MAX];

	if (!config_list_next(list, path, sizeof(path)))
		return 0;
	if (add_file(fd, setting, certificate, path, error) < 0 || !config_list_next(list, path, sizeof(path)) || add_file(fd, setting, key, path, error) < 0)
		return -1;
	warn_of_readers(setting, path);
	return 1;
}

/* Pairs, and who signs clients' certificates. */
static int add_tls(int fd, const struct settings *s, char error[CONFIG_ERROR_MAX])
{
	const char *list = s->tls_certificate;
	char path[SETTINGS_TEXT_MAX];
	bool optional;
	int r;

	while ((r = add_pair(fd, "tls_certificate", SECRET_TLS_CERTIFICATE, SECRET_TLS_KEY, &list, error)) > 0)
		;
	if (r < 0)
		return -1;
	config_client_ca(s->tls_client_ca, path, &optional);
	return *path ? add_file(fd, "tls_client_ca", optional ? SECRET_TLS_CLIENT_CA_OPTIONAL : SECRET_TLS_CLIENT_CA, path, error) : 0;
}

/* The whole file, of at most `most` bytes, in malloc()ed memory; forget_file() is its end. NULL with error[] and errno. */
static char *read_file(const char *setting, const char *path, size_t most, size_t *len, char error[CONFIG_ERROR_MAX])
{
	/* (A pipe or the like would have the server wait.) */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), number;
	char *bytes = fd < 0 ? NULL : malloc(most + 1);
	ssize_t n = 0;

	*len = 0;
	while (bytes && *len <= most && (n = read(fd, bytes + *len, most + 1 - *len)) > 0)
		*len += (size_t)n;
	number = errno;
	if (fd >= 0)
		close(fd);
	if (bytes && n >= 0 && *len <= most)
		return bytes;
	if (bytes && n >= 0)
		number = EFBIG;
	if (bytes)
		explicit_bzero(bytes, *len);
	free(bytes);
	snprintf(error, CONFIG_ERROR_MAX, "%s: %.255s: %s", setting, path, strerror(number));
	errno = number;
	return NULL;
}

static void forget_file(char *bytes, size_t len)
{
	explicit_bzero(bytes, len);
	free(bytes);
}

/* Keys of tokens, of one file. -1 with error[] and errno. */
static int read_token_keys(struct jwt_keys *keys, const char *path, char error[CONFIG_ERROR_MAX])
{
	char why[JWT_KEYS_ERROR_MAX], *bytes;
	unsigned before = jwt_keys_count(keys);
	size_t len;
	int r;

	bytes = read_file("token_keys", path, JWT_KEYS_FILE_MAX, &len, error);
	if (!bytes)
		return -1;
	r = jwt_keys_add(keys, bytes, len, why);
	if (r < 0) {
		snprintf(error, CONFIG_ERROR_MAX, "token_keys: %.255s: %.200s", path, why);
	} else {
		jwt_keys_describe(keys, before, why);
		log_info("token_keys: %.255s: %s", path, why);
		if (has_secret(bytes, len))
			warn_of_readers("token_keys", path);
	}
	forget_file(bytes, len);
	errno = EINVAL;
	return r;
}

static int add_token_keys(int fd, const char *list, char error[CONFIG_ERROR_MAX])
{
	struct jwt_keys *keys = jwt_keys_create();
	char path[SETTINGS_TEXT_MAX];
	void *packed = NULL;
	size_t size = 0;
	int number = 0, r = keys ? 0 : -1;

	if (!keys)
		snprintf(error, CONFIG_ERROR_MAX, "token_keys: %s", strerror(ENOMEM));
	while (r == 0 && config_list_next(&list, path, sizeof(path)))
		r = read_token_keys(keys, path, error);
	number = errno;
	if (r == 0 && (!(packed = jwt_keys_pack(keys, &size)) || secrets_add(fd, SECRET_TOKEN_KEYS, "token_keys", packed, size) < 0)) {
		number = packed ? errno : ENOMEM;
		snprintf(error, CONFIG_ERROR_MAX, "secrets: %s", strerror(number));
		r = -1;
	}
	if (packed)
		explicit_bzero(packed, size);
	free(packed);
	jwt_keys_destroy(keys);
	errno = number;
	return r;
}

/* Digests of the keys, as a worker has no use for more. */
static int add_api_keys(int fd, const char *path, char error[CONFIG_ERROR_MAX])
{
	size_t len, size = 0;
	char *text = read_file("api_key", path, SECRETS_FILE_MAX, &len, error);
	const char *why = NULL;
	uint8_t *keys;
	unsigned line;
	int r = -1;

	if (!text)
		return -1;
	warn_of_readers("api_key", path);
	keys = api_keys_read(text, len, &size, &why, &line);
	forget_file(text, len);
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

/* ---- what NATS is shown ---- */

static const struct nats_file {
	enum setting_place setting;
	const char *kind;
	bool line;			/* all of it that counts is one line */
} nats_files[] = {
	{ SETTING_PLACE_nats_password_file, SECRET_NATS_PASSWORD, true },
	{ SETTING_PLACE_nats_token_file, SECRET_NATS_TOKEN, true },
	{ SETTING_PLACE_nats_nkey_file, SECRET_NATS_NKEY, true },
	{ SETTING_PLACE_nats_credentials, SECRET_NATS_CREDENTIALS, false },
	{ SETTING_PLACE_nats_tls_ca, SECRET_NATS_CA, false },
};
#define NATS_FILES (sizeof(nats_files) / sizeof(nats_files[0]))

static const char *path_of(const struct settings *s, const struct nats_file *file)
{
	return settings_text((struct settings *)(uintptr_t)s, &settings_table[file->setting]);
}

static int add_line(int fd, const char *setting, const char *kind, const char *path, char error[CONFIG_ERROR_MAX])
{
	size_t len;
	char *text = read_file(setting, path, SECRETS_FILE_MAX, &len, error);
	int r = -1;

	if (!text)
		return -1;
	while (len > 0 && strchr(" \t\r\n", text[len - 1]))
		len--;
	if (len == 0 || memchr(text, '\n', len) || memchr(text, '\0', len))
		snprintf(error, CONFIG_ERROR_MAX, "%s: %.255s: it is not one line", setting, path);
	else if ((r = secrets_add(fd, kind, path, text, len)) < 0)
		snprintf(error, CONFIG_ERROR_MAX, "secrets: %s", strerror(errno));
	forget_file(text, len);
	errno = EINVAL;
	return r;
}

static int add_nats(int fd, const struct settings *s, char error[CONFIG_ERROR_MAX])
{
	const char *list = s->nats_tls_certificate;

	for (const struct nats_file *f = nats_files; f < nats_files + NATS_FILES; f++) {
		const char *name = settings_table[f->setting].name;

		if (!*path_of(s, f))
			continue;
		if ((f->line ? add_line : add_file)(fd, name, f->kind, path_of(s, f), error) < 0)
			return -1;
		if (f->setting != SETTING_PLACE_nats_tls_ca)
			warn_of_readers(name, path_of(s, f));
	}
	return add_pair(fd, "nats_tls_certificate", SECRET_NATS_CERTIFICATE, SECRET_NATS_KEY, &list, error) < 0 ? -1 : 0;
}

static bool has_nats_files(const struct settings *s)
{
	bool has = s->nats_tls_certificate[0];

	for (const struct nats_file *f = nats_files; f < nats_files + NATS_FILES; f++)
		has |= *path_of(s, f) != '\0';
	return s->nats[0] && has;
}

static int copy_nats(int to, const struct secrets *from)
{
	static const char *const kinds[] = {
		SECRET_NATS_PASSWORD, SECRET_NATS_TOKEN, SECRET_NATS_NKEY, SECRET_NATS_CREDENTIALS, SECRET_NATS_CA, SECRET_NATS_CERTIFICATE, SECRET_NATS_KEY,
	};
	struct secret secret;

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		for (size_t at = 0; secrets_next(from, kinds[i], &at, &secret);)
			if (secrets_add(to, kinds[i], secret.from, secret.bytes, secret.len) < 0)
				return -1;
	return secrets_seal(to);
}

int secret_files_of_nats(int all)
{
	struct secrets from;
	int fd;

	if (secrets_map(&from, all) < 0)
		return -1;
	fd = secrets_begin();
	if (fd >= 0 && copy_nats(fd, &from) < 0) {
		close(fd);
		fd = -1;
	}
	secrets_unmap(&from);
	return fd;
}

/* ---- all of them ---- */

static int read_into(int fd, const struct settings *s, char error[CONFIG_ERROR_MAX])
{
	struct secrets secrets;
	int r;

	if (add_tls(fd, s, error) < 0 || (s->token_keys[0] && add_token_keys(fd, s->token_keys, error) < 0) ||
	    (s->api_key[0] && add_api_keys(fd, s->api_key, error) < 0) || (s->nats[0] && add_nats(fd, s, error) < 0))
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
	if (!s->tls_certificate[0] && !s->tls_client_ca[0] && !s->token_keys[0] && !s->api_key[0] && !has_nats_files(s))
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

/* Whether all that is of a kind is the same in both. */
static bool same_kind(const struct secrets *a, const struct secrets *b, const char *kind)
{
	struct secret x, y;
	size_t at = 0, other_at = 0;

	while (secrets_next(a, kind, &at, &x))
		if (!secrets_next(b, kind, &other_at, &y) || x.len != y.len || memcmp(x.bytes, y.bytes, x.len) != 0)
			return false;
	return !secrets_next(b, kind, &other_at, &y);
}

void secret_files_changed(int before, int now, char dst[SECRET_FILES_CHANGED_MAX])
{
	static const struct {
		const char *kind, *setting;
	} kinds[] = {
		{ SECRET_TLS_CERTIFICATE, "tls_certificate" }, { SECRET_TLS_KEY, "tls_certificate (key)" }, { SECRET_TLS_CLIENT_CA, "tls_client_ca" },
		{ SECRET_TLS_CLIENT_CA_OPTIONAL, "tls_client_ca" }, { SECRET_TOKEN_KEYS, "token_keys" }, { SECRET_API_KEYS, "api_key" },
		{ SECRET_NATS_PASSWORD, "nats_password_file" }, { SECRET_NATS_TOKEN, "nats_token_file" }, { SECRET_NATS_NKEY, "nats_nkey_file" },
		{ SECRET_NATS_CREDENTIALS, "nats_credentials" }, { SECRET_NATS_CA, "nats_tls_ca" }, { SECRET_NATS_CERTIFICATE, "nats_tls_certificate" },
		{ SECRET_NATS_KEY, "nats_tls_certificate (key)" },
	};
	struct secrets old = { 0 }, new = { 0 };
	size_t len = 0;

	dst[0] = '\0';
	if ((before >= 0 && secrets_map(&old, before) < 0) || (now >= 0 && secrets_map(&new, now) < 0))
		goto out;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (!same_kind(&old, &new, kinds[i].kind) && len < SECRET_FILES_CHANGED_MAX)
			len += (size_t)snprintf(dst + len, SECRET_FILES_CHANGED_MAX - len, "%s%s", len ? ", " : "", kinds[i].setting);
out:
	if (old.bytes)
		secrets_unmap(&old);
	if (new.bytes)
		secrets_unmap(&new);
}
