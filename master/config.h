/*
 * The configuration: an INI file (inih, no sections needed) and -o key=value options, which come after it and win.
 */
#ifndef MASTER_CONFIG_H
#define MASTER_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

#include "shm/settings.h"

#define LISTENERS_MAX 64
#define CONFIG_ERROR_MAX 512
#define DEFAULT_LISTEN "flash://127.0.0.1:8081"

enum { PROTO_FLASH };	/* transports */

struct listen_address {
	char url[128];			/* as written: scheme://ADDR:PORT, [ADDR] for IPv6 */
	int proto;			/* PROTO_ */
	struct sockaddr_storage addr;
	socklen_t addr_len;
};

struct config {
	struct settings settings;
	struct listen_address listen[LISTENERS_MAX];
	unsigned listeners;
	char file[4096];		/* "" for none */
};

/* What the command line says of the configuration; kept by the master to read it again. */
struct config_source {
	const char *file;		/* -c, or NULL */
	const char **options;		/* -o, as "key=value" */
	unsigned count;
};

/* Reads defaults, then the file, then the options. `listen` in the file adds an address each time; the first `listen` option replaces
 * the file's addresses, further ones add. Without any, DEFAULT_LISTEN. Port 0 is allowed (the kernel chooses; the log and `janusctl
 * status` say which).
 * 0, or -1 and a message in error[] with file and line, or the option, and what would be right. */
int config_read(struct config *config, const struct config_source *source, char error[CONFIG_ERROR_MAX]);

/* Writes the sockaddr as "ADDR:PORT" or "[ADDR]:PORT". */
void config_address_text(const struct sockaddr *addr, char *dst, size_t size);

#endif
