/*
 * The configuration: an INI file (inih, no sections) and -o key=value options, which come after it and win.
 *
 *   # or ; begins a comment line; " ;" ends a value, " #" in one is an error but for rules (topics may begin so)
 *   key = value
 *
 * NUMBER   digits, then nothing; K, M, G or KiB, MiB, GiB (1024 and its powers); kB, KB, MB, GB (1000 and its powers, as SI and IEC have it); or k, m (of
 *          counts: 1000, 1000000)
 * SECONDS  digits, then nothing or s (seconds), ms, m (minutes) or h
 * listen   SCHEME://ADDR:PORT or SCHEME+unix:PATH, SCHEME being flash, http, packet or admin; with TLS flash+tls, https, packet+tls or admin+tls, and ADDR. ADDR is a numeric IPv4 address, a numeric
 *          IPv6 address in [], `localhost` (127.0.0.1) or `*` (every address of this machine, IPv6 and IPv4). Other host names are not
 *          looked up. PATH is absolute, and as long as a Unix socket's may be (107 bytes). Behind it may stand ` proxy`, and ` slow=WORD`, of slow_rules.h.
 * LIST     items divided by spaces or commas, up to 4,095 bytes; in the file, further lines of the same key go on with it
 * workers  1 to WORKERS_MAX, or `auto`: as many as there are processors that this process may run on
 *
 * A key that is not known, a key that is in the file twice (`listen` and lists may be), a [section], a line that inih would cut (200
 * bytes, the way distributions build it): all are errors, none is passed over.
 */
#ifndef MASTER_CONFIG_H
#define MASTER_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/socket.h>

#include "proto/transport.h"
#include "shm/settings.h"
#include "shm/slow_rules.h"

#define LISTENERS_MAX 64			/* of the configuration */
#define LISTENERS_OPEN_MAX (LISTENERS_MAX + 1)	/* and the server's own */
#define CONFIG_ERROR_MAX 512
#define CONFIG_FILE JANUS_CONFIG_FILE	/* what is read without -c; the Makefile's sysconfdir says where it is */
#define DEFAULT_LISTEN "flash://127.0.0.1:8081", "http://127.0.0.1:8080", "admin://127.0.0.1:8082"	/* for an array */

/* Compares with memcmp(): what is not used is zero. */
struct listen_address {
	char url[128];			/* as written, without options: scheme://ADDR:PORT, [ADDR] for IPv6; scheme+unix:PATH */
	int proto;			/* PROTO_, proto/transport.h */
	bool tls;			/* within TLS: flash+tls, https, packet+tls, admin+tls */
	enum slow_policy slow;		/* ` slow=WORD` */
	bool proxy;			/* ` proxy`: connections begin with a header that says who the client is (proto/proxy_protocol.h) */
	bool dual;			/* `*`: addr is [::] and takes IPv4 too */
	int line;			/* of the file; 0 by default, CONFIG_OPTION */
	struct sockaddr_storage addr;
	socklen_t addr_len;
};

/* Where a setting was set: a line of the file (of a list, its first), or one of these. */
enum { CONFIG_DEFAULT = 0, CONFIG_OPTION = -1 };

/* By place in settings_table, and then `workers`. */
struct config_lines {
	int of[SETTINGS + 1];
};

struct config {
	struct settings settings;
	struct config_lines lines;
	struct listen_address listen[LISTENERS_MAX];
	unsigned listeners;
	char file[4096];		/* absolute; "" for none */
};

/* What the command line says of the configuration; kept by the master to read it again. */
struct config_source {
	const char *file;		/* -c, or NULL */
	const char *installed;		/* read in its stead where there is no -c, if it is there at that moment; NULL: no file then */
	const char **options;		/* -o, as "key=value" */
	unsigned count;
	const char *runtime_dir;	/* NULL, or that of the server that there is, where none is set: another user's default is not what this server has */
	bool find;			/* of the file, only what says where its server is (runtime_dir): errors elsewhere in it do not matter */
};

/* Reads defaults, then the file, then the options. `listen` in the file adds an address each time; the first `listen` option replaces
 * the file's addresses, further ones add. Without any, DEFAULT_LISTEN. Port 0 is allowed (the kernel chooses; the log and `janusctl
 * status` say which). runtime_dir is never empty afterwards; ring_bytes and ring_messages are powers of two.
 * 0, or -1 and a message in error[] with file and line, or the option, and what would be right; *config is then left as it was. */
int config_read(struct config *config, const struct config_source *source, char error[CONFIG_ERROR_MAX]);

/* The same, for who wants to know all that is wrong: said() is called with each message, in the order of the file. How many they are; if there are any,
 * *config is what could be read nevertheless. */
unsigned config_check(struct config *config, const struct config_source *source, void (*said)(void *arg, const char *error), void *arg);

/* ---- config_together.c ---- */

/* The least that max_buffered may be: each worker's share (a quarter, see shm/buffer_pool.c) has room for a frame as it moves to a larger buffer. */
uint64_t config_buffered_least(const struct settings *settings);

/* ---- config_address.c ---- */

/* Reads one `listen` value, with its options. 0, or -1 and in why[] what would be right. */
int config_address_read(struct listen_address *address, const char *text, char why[CONFIG_ERROR_MAX]);

/* The address of the server's own admin listener, beside those of the configuration: a Unix socket in its runtime folder, by which janusctl publishes and
 * the like. 0, or -1 with errno: ENAMETOOLONG. */
int config_address_own(struct listen_address *address, const char *runtime_dir);

/* Writes the sockaddr as "ADDR:PORT" or "[ADDR]:PORT". */
void config_address_text(const struct sockaddr *addr, char *dst, size_t size);

/* What stands behind it in the configuration: " proxy slow=latest", "". */
#define CONFIG_OPTIONS_MAX 32
void config_address_options(const struct listen_address *address, char text[CONFIG_OPTIONS_MAX]);

/* The path of a Unix socket's address; NULL for other addresses. */
const char *config_address_path(const struct listen_address *address);

/* Do both mean the same socket, whatever is spoken there? With port 0 only if they are the same text. */
bool config_address_same(const struct listen_address *a, const struct listen_address *b);

/* ---- config_reach.c ---- */

/* Whether others than this machine can connect there: it is neither a Unix socket nor a loopback address. */
bool config_address_reached(const struct listen_address *address);

/* The first address that others can reach while no setting says who may do what; NULL: none. Such a configuration is refused. */
const struct listen_address *config_reached_by_all(const struct config *config);

/* The first address for admins that others can reach without a certificate; NULL: none. Who does may do everything, whatever the settings say. */
const struct listen_address *config_reached_admin(const struct config *config);
#define CONFIG_REACHED_ADMIN "listen: who can reach %s may do everything, with no token: keep it on 127.0.0.1 or a Unix socket, or have admin+tls with tls_client_ca"

/* ---- config_text.c ---- */

/* All settings as they are in force, the addresses first, as a file that config_read() takes. */
void config_print(FILE *to, const struct config *config);

/* The setting's value as one would write it in the file, cut to the room that there is. Returns dst. */
const char *config_value_text(char *dst, size_t size, const struct setting *setting, const struct settings *settings);

/* The value of a NUMBER or SECONDS as one would write it in the file. Returns dst. */
const char *config_number_text(char *dst, size_t size, const struct setting *setting, int64_t n);

/* ---- config_list.c ---- */

/* Checks a list's value by http_origins_error() or http_hosts_error(). 0, or -1 and in why[] which item is wrong. */
struct http_text;
int config_list_check(const char *list, const char *(*error_of)(const char *list, struct http_text *wrong), char why[CONFIG_ERROR_MAX]);

/* Takes the next item of a list that is divided by spaces or commas, from *list on, into item[]. False: there is none, or it is too long. */
bool config_list_next(const char **list, char *item, size_t size);

/* Checks that all items of a list are absolute paths. 0, or -1 and in why[] which is not. */
int config_paths_check(const char *list, char why[CONFIG_ERROR_MAX]);

/* How many pairs tls_certificate is. -1: its last certificate has no key. */
int config_tls_pairs(const char *list);

/* tls_client_ca: its file into path[], and whether its clients may be without a certificate. */
void config_client_ca(const char *value, char path[SETTINGS_TEXT_MAX], bool *optional);
int config_client_ca_check(const char *value, char why[CONFIG_ERROR_MAX]);	/* 0, or -1 and in why[] what is wrong */

/* token_jwks_url: https, or http of this machine. 0, or -1 and in why[] what is wrong. */
int config_jwks_url_check(const char *url, char why[CONFIG_ERROR_MAX]);

/* nats: URLs of servers, without users and passwords in them. 0, or -1 and in why[] what is wrong. */
int config_nats_check(const char *list, char why[CONFIG_ERROR_MAX]);
/* nats_prefix: the same. */
int config_prefix_check(const char *prefix, char why[CONFIG_ERROR_MAX]);

/* Whether the setting is a list of rules, divided by `;`; other lists are divided by spaces and commas. */
bool config_has_rules(const struct setting *setting);

#endif
